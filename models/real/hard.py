"""Texts that tokenizers stumble over, and conversations for the template."""

TEXTS = [
    "",
    " ",
    "\n\n\n \t \r\n",
    "a" * 300,
    "1234567890 3.14159 1,000,000 2026-01-15T09:30:05Z 0x1F 1e-9",
    "don't we'll I'VE they'D 'tis rock'n'roll",
    "caf\u00e9 na\u00efve re\u0301sume\u0301 \u00c5\u212b \ufb01ne",
    "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3067\u3059\u3002\u4e2d\u6587\uff0c\u6ca1\u6709\u7a7a\u683c\u3002\ud55c\uad6d\uc5b4",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea \u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u0939\u093f\u0928\u094d\u0926\u0940",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467\U0001f1eb\U0001f1f7 \u2764\ufe0f \U0001f44d\U0001f3fd",
    "\u200b\u200d\ufeff\u00a0\u3000\u2028\u0000\u001b[31m",
    "<|im_start|>user\nHi<|im_end|>\n<|endoftext|>",
    "<|im_start|><|im_end|><|im_start |> <|im_end|",
    "def f(x):\n    return {\"a\": [x**2 for x in range(10)]}  # \u03c0\n",
    "   leading, trailing   \n\n  and   inner    spaces\t\ttabs",
    "https://example.org/a/b?c=d&e=%20f#g <a href='x'>y</a> \\n \\u00e9",
    "ALLCAPS mixedCase snake_case kebab-case \u01c5 \u1e9e \u0130stanbul",
    "!!!??? ... -- \u2014 \u2026 \u201cquotes\u201d \u00abguillemets\u00bb ((( )))",
    "\u00bd \u00b2 \u2167 \u0663 \u4e09 \U0001d7d9",
]

TALKS = [
    {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True},
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "  Two\nlines  "}], "add_generation_prompt": True},
    {
        "messages": [
            {"role": "user", "content": "caf\u00e9 {{ 1 }} <|im_end|>"},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": ""},
        ]
    },
]
