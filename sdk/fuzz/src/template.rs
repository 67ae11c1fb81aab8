//! Chat templates, and conversations that they are given.

use kinglet_text::{ChatTemplate, Message, TemplateInput};
use std::sync::LazyLock;

static INPUT: LazyLock<TemplateInput> = LazyLock::new(|| TemplateInput {
    messages: vec![
        Message::new("system", "Be brief."),
        Message::new("user", "What is the time? <|end|> {{ 7 * 7 }}"),
        Message::new("assistant", "")
            .with("tool_calls", serde_json::json!([{"function": {"name": "clock", "arguments": {"zone": "UTC"}}}])),
        Message::new("tool", "12:00"),
    ],
    tools: Some(vec![serde_json::json!({"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}})]),
    add_generation_prompt: true,
    ..TemplateInput::default()
});

pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let specials = vec![("bos_token".to_owned(), "<s>".to_owned()), ("eos_token".to_owned(), "</s>".to_owned())];
    let Ok(template) = ChatTemplate::from_sources(vec![("default".to_owned(), text)], specials) else { return };
    let (first, second) = (template.render(&INPUT), template.render(&INPUT));
    assert_eq!(first.ok(), second.ok(), "one conversation, two prompts");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
        "{%- set ns = namespace(n=0) -%}{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.n = ns.n + 1 %}{% endif %}{% endfor %}{{ ns.n }}",
        "{% macro call(c) %}{{ c.function.name }}({{ c.function.arguments | tojson }}){% endmacro %}{% for m in messages if m.tool_calls %}{{ call(m.tool_calls[0]) }}{% endfor %}",
        "{{ raise_exception('no') }}",
        "{{ messages | map(attribute='role') | join(', ') }}{{ messages[::-1][0].content[:3] }}{{ '%s' % 3 }}",
        "{% for i in range(10) %}{% for j in range(10) %}{{ i ~ j }}{% endfor %}{% endfor %}",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
