//! Templates judged by transformers: its renderings are in `tests/goldens/templates.json`, made by `make.py` beside it.

use kinglet_text::{ChatTemplate, DateTime, Message, TemplateInput, TextError};
use serde_json::{Map, Value};

fn goldens() -> Value {
    serde_json::from_str(include_str!("../goldens/templates.json")).unwrap()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().unwrap().clone()
}

fn messages(value: &Value) -> Vec<Message> {
    list(value).into_iter().map(|message| Message::from(message.as_object().unwrap().clone())).collect()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Describes how a rendering differs from the golden; `None` where it agrees.
fn difference(golden: &Value, result: &Value, input: &TemplateInput, template: &str) -> Option<String> {
    let specials = object(&golden["special_tokens"]).into_iter().map(|(name, text)| (name, text.as_str().unwrap().to_owned()));
    let compiled = ChatTemplate::from_sources(vec![("default".to_owned(), template.to_owned())], specials.collect());
    let rendered = compiled.and_then(|template| template.render(input));
    let agrees = match (&rendered, result["rendered"].as_str(), result["refused"].as_str()) {
        (Ok(text), Some(expected), _) => text == expected,
        (Err(TextError::TemplateRefused { message }), None, Some(expected)) => message == expected,
        (Err(TextError::TemplateFailed { .. } | TextError::TemplateSyntax { .. }), None, None) => true,
        _ => false,
    };
    (!agrees).then(|| format!("{template}\n  ours: {rendered:?}\n  expected: {result}"))
}

fn now(golden: &Value) -> DateTime {
    golden["now"].as_str().unwrap().parse().unwrap()
}

#[test]
fn expressions_and_blocks_render_as_in_transformers() {
    let golden = goldens();
    let given = &golden["case_input"];
    let input = TemplateInput {
        messages: messages(&given["messages"]),
        tools: Some(list(&given["tools"])),
        add_generation_prompt: true,
        extra: object(&given["variables"]),
        now: Some(now(&golden)),
        ..TemplateInput::default()
    };
    let cases = list(&golden["cases"]);
    let differences: Vec<String> =
        cases.iter().filter_map(|case| difference(&golden, case, &input, case["template"].as_str().unwrap())).collect();
    assert!(differences.is_empty(), "{} of {} differ:\n{}", differences.len(), cases.len(), differences.join("\n"));
}

#[test]
fn chats_render_as_in_transformers() {
    let golden = goldens();
    let (mut count, mut differences) = (0, Vec::new());
    for chat in list(&golden["chats"]) {
        for result in list(&chat["results"]) {
            let input = TemplateInput {
                messages: messages(&golden["conversations"][result["conversation"].as_str().unwrap()]),
                tools: result["tools"].as_bool().unwrap().then(|| list(&golden["tools"])),
                add_generation_prompt: result["generate"].as_bool().unwrap(),
                extra: object(&result["variables"]),
                now: Some(now(&golden)),
                ..TemplateInput::default()
            };
            count += 1;
            differences.extend(difference(&golden, &result, &input, chat["template"].as_str().unwrap()));
        }
    }
    assert!(count > 400, "only {count} renderings were compared");
    assert!(differences.is_empty(), "{} of {count} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn templates_of_families_render_as_in_transformers() {
    let golden: Value = serde_json::from_str(include_str!("../goldens/families.json")).unwrap();
    let families = list(&golden["families"]);
    assert!(families.len() >= 60, "only {} templates", families.len());
    let (mut count, mut differences) = (0, Vec::new());
    for family in families {
        for (talk, result) in family["results"].as_object().unwrap() {
            let talk = &golden["talks"][talk];
            let some = |name: &str| talk.get(name).map(list);
            let input = TemplateInput {
                messages: messages(&talk["messages"]),
                tools: some("tools"),
                documents: some("documents"),
                add_generation_prompt: talk["generate"].as_bool().unwrap(),
                extra: talk.get("variables").map(object).unwrap_or_default(),
                now: Some(now(&golden)),
                ..TemplateInput::default()
            };
            count += 1;
            let difference = difference(&golden, result, &input, family["template"].as_str().unwrap());
            differences.extend(difference.map(|difference| format!("{}: {difference}", family["name"])));
        }
    }
    assert!(differences.is_empty(), "{} of {count} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_comparison_can_fail() {
    let golden = goldens();
    let input = TemplateInput { messages: vec![Message::new("user", "x")], ..TemplateInput::default() };
    let differs = |result: Value, template: &str| difference(&golden, &result, &input, template).is_some();
    assert!(!differs(serde_json::json!({ "rendered": "x" }), "{{ messages[0].content }}"));
    assert!(differs(serde_json::json!({ "rendered": "y" }), "{{ messages[0].content }}"));
    assert!(differs(serde_json::json!({ "failed": true }), "{{ messages[0].content }}"));
    assert!(differs(serde_json::json!({ "rendered": "" }), "{{ nothing.nothing }}"));
    assert!(differs(serde_json::json!({ "refused": "no" }), "{{ raise_exception('yes') }}"));
}

#[test]
fn wrong_input_is_refused_in_words() {
    struct Case {
        name: &'static str,
        input: TemplateInput,
        template: &'static str,
        says: &'static [&'static str],
    }
    let one = || TemplateInput { messages: vec![Message::new("user", "x")], ..TemplateInput::default() };
    let roleless = Message::default().with("content", "x");
    let cases = [
        Case { name: "no message", input: TemplateInput::default(), template: "", says: &["empty", "at least one"] },
        Case {
            name: "no role",
            input: TemplateInput { messages: vec![Message::new("user", "x"), roleless], ..TemplateInput::default() },
            template: "",
            says: &["Message 1", "`role`"],
        },
        Case {
            name: "an unknown template",
            input: TemplateInput { template: Some("rag".to_owned()), ..one() },
            template: "",
            says: &["`rag`", "default"],
        },
        Case { name: "no clock", input: one(), template: "\n{{ strftime_now('%Y') }}", says: &["line 2", "strftime_now"] },
        Case {
            name: "a date format that is none",
            input: TemplateInput { now: Some(now(&goldens())), ..one() },
            template: "{{ strftime_now('%!') }}",
            says: &["line 1", "%!"],
        },
        Case { name: "a missing field", input: one(), template: "a\nb{{ messages[0].tool.name }}", says: &["line 2", "tool"] },
        Case {
            name: "work without end",
            input: one(),
            template: "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a * b %}{% endfor %}{% endfor %}",
            says: &["`default`", "line 1", "may never end"],
        },
        Case {
            name: "calls without end",
            input: one(),
            template: "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
            says: &["recursion"],
        },
        Case {
            name: "a value inside itself",
            input: one(),
            template: "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
            says: &["line 1", "cannot hold a namespace"],
        },
        Case {
            name: "a value inside itself in two steps",
            input: one(),
            template: "{% set ns = namespace() %}{% set x = [{'a': ns}] %}\n{% set ns.a = x %}",
            says: &["line 2", "cannot hold a namespace"],
        },
        Case {
            name: "a loop inside a namespace",
            input: one(),
            template: "{% set ns = namespace() %}{% for x in [1, ns] %}{% set ns.a = [loop] %}{% endfor %}{{ ns }}",
            says: &["line 1", "cannot hold `loop`"],
        },
        Case {
            name: "a value that nests without end",
            input: one(),
            template: "{% set ns = namespace(a=1) %}{% for x in range(999) %}{% set ns.a = [ns.a] %}{% endfor %}",
            says: &["line 1", "nested too deeply to be kept"],
        },
        Case {
            name: "a value that doubles without end",
            input: one(),
            template: "{% set ns = namespace(a=1) %}{% for x in range(99) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}",
            says: &["line 1", "may never end"],
        },
        Case { name: "too much text", input: one(), template: "{{ 'x' * 99999999999 }}", says: &["line 1", "may never end"] },
        Case {
            name: "too much padding",
            input: one(),
            template: "\n{{ 'x'.ljust(99999999999) }}",
            says: &["line 2", "too wide"],
        },
        Case {
            name: "a field too wide",
            input: one(),
            template: "{{ '{:9999999}'.format('x') }}",
            says: &["line 1", "too wide"],
        },
    ];
    for case in cases {
        let template = ChatTemplate::from_sources(vec![("default".to_owned(), case.template.to_owned())], Vec::new()).unwrap();
        let message = template.render(&case.input).unwrap_err().to_string();
        for part in case.says {
            assert!(message.contains(part), "{}: `{part}` is missing in: {message}", case.name);
        }
    }
}
