"""Makes templates.json: what transformers renders for small templates and conversations.

    pip install transformers==5.23.0 jinja2==3.1.6
    python make.py

cases.txt holds expressions and blocks that are rendered with one set of variables; chats.txt holds chat templates that are
rendered with every conversation below. Both separate templates by a line of two percent signs. families.txt holds templates of
our own in the constructs that families of models use; a line of two percent signs and a name stands before each. They are
rendered with the talks below, into families.json.
"""

import datetime
import json
import pathlib

from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2024, 7, 5, 9, 3, 7)


class Clock(datetime.datetime):
    """A clock that stands still, in the place of the one that strftime_now reads."""

    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = Clock

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find",
            "description": "Finds <b>things</b> & \"more\", it's é😀",
            "parameters": {
                "type": "object",
                "properties": {
                    "items": {"type": "array", "items": {"type": "string"}},
                    "keys": {"type": "integer", "enum": [1, 2], "default": 1},
                    "values": {"type": ["string", "null"]},
                },
                "required": ["items"],
            },
        },
    }
]
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "find", "arguments": {"items": ["a", "é"], "n": 1.5, "t": True, "z": None}}}


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


CASE_MESSAGES = [
    turn("system", "Sys"),
    turn("user", " Héllo <b>'x'</b>\n"),
    turn("assistant", "<think>\nhm\n</think>\n\nOk", tool_calls=[
        {"type": "function", "function": {"name": "f", "arguments": {"a": 1, "b": [1.5, True, None, "é\u2028\"q\""], "items": {"x": {}}}}}
    ]),
    turn("tool", "res", name="f"),
]
CASE_TOOLS = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "string"}}, "keys": {"type": "integer", "enum": [1, 2]}, "values": {"type": ["string", "null"]}},
    "required": ["items"],
}}}]
CASE_VARIABLES = {
    "num": 3, "flt": 1e16, "small": 1e-5, "f2": 0.1, "big": 12345678901234567890, "neg": -2.5, "ctl": "\x1c a \x1f", "lst": [3, 1, 2],
    "text": "they're a-b fine", "none": None, "empty": "", "d": {"b": 1, "a": {"z": [1]}}, "uni": "\x7fé😀\u200b",
}
CONVERSATIONS = {
    "one turn": [turn("user", "Hello\n")],
    "system": [turn("system", "  Be <kind> & brief. "), turn("user", " Hi 'there' \n")],
    "several turns": [turn("user", "a"), turn("assistant", " b "), turn("user", "c")],
    "out of turn": [turn("user", "a"), turn("user", "b")],
    "reasoning in the text": [turn("user", "q"), turn("assistant", "<think>\nso\n</think>\n\nyes"), turn("user", "r"), turn("assistant", "<think>x</think>y")],
    "reasoning beside the text": [turn("user", "q"), turn("assistant", "yes", reasoning="so\nthat"), turn("user", "r")],
    "a call": [turn("user", "q"), turn("assistant", None, tool_calls=[CALL]), turn("tool", "{\"n\": 1}", name="find", tool_call_id="abcdefghi"), turn("user", "ok")],
    "two calls": [turn("user", "q"), turn("assistant", "", tool_calls=[CALL, CALL]), turn("tool", "1"), turn("tool", "2")],
    "a result that is an object": [turn("user", "q"), turn("assistant", "", tool_calls=[CALL]), turn("tool", {"n": [1.0, "é"]})],
    "parts": [turn("user", [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}])],
    "other scripts": [turn("user", "😀👨‍👩‍👧 \u2028 ไทย العربية \x1c end\u00a0"), turn("assistant", "naïve\t\r\ntabs")],
}


FAMILY_TALKS = {
    "question": {"messages": [turn("user", " When do you open?\n")], "generate": True},
    "system": {"messages": [turn("system", " Be brief. "), turn("user", "Hi"), turn("assistant", " Hello. "), turn("user", "And?")], "generate": True},
    "answered": {"messages": [turn("user", "2+2?"), turn("assistant", "<think>\nEasy.\n</think>\n\nFour."), turn("user", "3+3?"), turn("assistant", "Six.", reasoning_content="Also easy.")], "generate": False},
    "out of turn": {"messages": [turn("user", "a"), turn("user", "b /no_think")], "generate": True, "variables": {"enable_thinking": False}},
    "tools": {"messages": [turn("system", "Use tools."), turn("user", "Find it")], "tools": TOOLS, "generate": True},
    "called": {"messages": [turn("user", "q"), turn("assistant", None, tool_calls=[CALL]), turn("tool", "{\"n\": 1}", name="find", tool_call_id="abcdefghi"), turn("assistant", "Found."), turn("user", "ok")], "tools": TOOLS, "generate": True},
    "called twice": {"messages": [turn("user", "q"), turn("assistant", "", tool_calls=[CALL, CALL]), turn("tool", "1"), turn("tool", "2")], "tools": TOOLS, "generate": True},
    "parts": {"messages": [turn("user", [{"type": "text", "text": "Look: "}, {"type": "image"}, {"type": "text", "text": "what?"}])], "generate": True},
    "documents": {"messages": [turn("user", "Who?")], "documents": [{"title": "One", "text": "A is B."}, {"title": "", "text": "C"}, {"text": "D"}], "generate": True, "variables": {"controls": {"citations": True}, "date_string": "3 Mar 2026", "thinking_budget": 700}},
}  # fmt: skip


def render(template, messages, tools, generate, variables):
    """The rendering, or what was raised: the template's own words, or that it failed."""
    given = [{key: value for key, value in message.items() if value is not None} for message in messages]
    try:
        rendered, _ = chat_template_utils.render_jinja_template(
            [given], tools=tools, chat_template=template, add_generation_prompt=generate,
            bos_token="<s>", eos_token="</s>", **variables,
        )
        return {"rendered": rendered[0]}
    except Exception as error:
        words = str(error)
        return {"refused": words} if type(error).__name__ == "TemplateError" else {"failed": True}


def families():
    """Each template of families.txt with what becomes of it in each talk."""
    found = []
    for block in ("\n" + (HERE / "families.txt").read_text()).split("\n%% ")[1:]:
        name, source = block.split("\n", 1)
        results = {}
        for talk, given in FAMILY_TALKS.items():
            variables = given.get("variables", {}) | ({"documents": given["documents"]} if "documents" in given else {})
            results[talk] = render(source, given["messages"], given.get("tools"), given["generate"], variables)
        found.append({"name": name, "template": source, "results": results})
    return found


def templates(name):
    return (HERE / name).read_text().split("\n%%\n")


def main():
    cases = [{"template": source, **render(source, CASE_MESSAGES, CASE_TOOLS, True, CASE_VARIABLES)} for source in templates("cases.txt")]
    chats = []
    for source in templates("chats.txt"):
        results = []
        for name, messages in CONVERSATIONS.items():
            for tools in (None, TOOLS):
                for generate in (False, True):
                    for variables in ({}, {"enable_thinking": False}):
                        result = render(source, messages, tools, generate, variables)
                        results.append({"conversation": name, "tools": tools is not None, "generate": generate, "variables": variables, **result})
        chats.append({"template": source, "results": results})
    golden = {
        "made_with": "transformers 5.23.0, jinja2 3.1.6",
        "now": NOW.isoformat(),
        "special_tokens": {"bos_token": "<s>", "eos_token": "</s>"},
        "case_input": {"messages": CASE_MESSAGES, "tools": CASE_TOOLS, "variables": CASE_VARIABLES},
        "cases": cases,
        "conversations": CONVERSATIONS,
        "tools": TOOLS,
        "chats": chats,
    }
    golden_families = {"made_with": golden["made_with"], "now": golden["now"], "special_tokens": golden["special_tokens"], "talks": FAMILY_TALKS, "families": families()}
    (HERE / "families.json").write_text(json.dumps(golden_families, ensure_ascii=True, indent=0) + "\n")
    (HERE / "templates.json").write_text(json.dumps(golden, ensure_ascii=True, indent=1) + "\n")


if __name__ == "__main__":
    main()
