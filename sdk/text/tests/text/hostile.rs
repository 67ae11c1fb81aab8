//! Templates that would end the process: a stack that overflows cannot be caught, so they run in a process of their own.

use std::process::Command;
use std::thread;

use kinglet_text::{ChatTemplate, Message, TemplateInput, TextError};
use proptest::prelude::*;

/// Names the case that a test program that was started by another is to try.
const CASE: &str = "KINGLET_HOSTILE_TEMPLATE";

/// Ways to put a value into another.
const WRAPPERS: [(&str, &str); 5] = [("[", "]"), ("(", ",)"), ("{1: ", "}"), ("dict(a=", ")"), ("namespace(a=", ")")];

/// Uses of a nested value: most traverse it to its full depth.
const USES: [&str; 12] = [
    "",
    "{{ ns.v }}",
    "{{ ns.v ~ '' }}",
    "{{ ns.v|tojson }}",
    "{{ ns.v|pprint }}",
    "{{ ns.v|upper }}",
    "{{ [ns.v]|join }}",
    "{{ ns.v == ns.w }}",
    "{{ [ns.v, ns.w]|sort|length }}",
    "{{ [ns.v, ns.w]|unique|list|length }}",
    "{{ [1].index(ns.v) }}",
    "{% set x = {'a': ns.v} %}{{ x.a.b.c }}",
];

/// A template that nests a value `levels * rounds` deep, twice, and then does something with it.
fn nesting((open, close): (&str, &str), levels: usize, rounds: usize, end: &str) -> String {
    let wrapped = |name: &str| format!("{{% set ns.{name} = {}ns.{name}{} %}}", open.repeat(levels), close.repeat(levels));
    let grown = |name: &str| format!("{{% for i in range({rounds}) %}}{}{{% endfor %}}", wrapped(name));
    format!("{{% set ns = namespace(v=1, w=1) %}}{}{}{end}", grown("v"), grown("w"))
}

/// A template that nests a value deeper with each of many scopes, and then does something with it.
fn scopes(end: &str) -> String {
    let deeper = format!("v = {0}v{1}, ", "[".repeat(60), "]".repeat(60)).repeat(28);
    let scope = format!("{{% with {deeper} w = [1] %}}");
    format!("{{% set v = 1 %}}{}{}{}", scope.repeat(20), end.replace("ns.", ""), "{% endwith %}".repeat(20))
}

/// A template that nests a value deeper with each call of a macro, and then does something with it.
fn calls(end: &str) -> String {
    let (open, close) = ("[".repeat(60), "]".repeat(60));
    let body =
        format!("{{% if n > 0 %}}{{{{ f({open}v{close}, w, n - 1) }}}}{{% else %}}{}{{% endif %}}", end.replace("ns.", ""));
    format!("{{% macro f(v, w, n) %}}{body}{{% endmacro %}}{{{{ f(1, [1], 70) }}}}")
}

/// Compiles and renders on a stack so small that nothing of it can be meant for the template.
fn render(template: &str, messages: usize) -> Result<String, TextError> {
    let input = TemplateInput { messages: vec![Message::new("user", "Hello"); messages], ..TemplateInput::default() };
    let work = || ChatTemplate::from_sources(vec![("default".to_owned(), template.to_owned())], Vec::new())?.render(&input);
    thread::scope(|scope| {
        thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, work).unwrap().join().expect("rendering panicked")
    })
}

/// A case by its name: the templates, and how many messages they are given.
struct Case {
    name: &'static str,
    templates: Vec<String>,
    messages: usize,
}

fn cases() -> Vec<Case> {
    let nested = |rounds: &[usize]| {
        let all = WRAPPERS.iter().flat_map(|&wrapper| USES.iter().map(move |&end| (wrapper, end)));
        all.flat_map(|(wrapper, end)| rounds.iter().map(move |&rounds| nesting(wrapper, 50, rounds, end))).collect()
    };
    let chain = |open: &str, link: &str, count: usize, close: &str| format!("{open}{}{close}", link.repeat(count));
    vec![
        Case { name: "values as deep as can be", templates: nested(&[20, 60, 100, 130]), messages: 1 },
        Case { name: "values without end", templates: nested(&[99_999]), messages: 1 },
        Case {
            name: "values as deep as a long conversation allows",
            templates: ["", "{{ ns.v ~ '' }}", "{{ ns.v == ns.w }}"].map(|end| nesting(("[", "]"), 60, 4_000, end)).to_vec(),
            messages: 1_000,
        },
        Case {
            name: "values that grow without being assigned",
            templates: USES.iter().flat_map(|&end| [scopes(end), calls(end)]).collect(),
            messages: 40,
        },
        Case {
            name: "calls of itself",
            templates: [
                "{% macro f(x) %}{{ f([[[x]]]) }}{% endmacro %}{{ f(1) }}",
                "{% macro f() %}{% set x %}{{ f() }}{% endset %}{{ x }}{% endmacro %}{{ f() }}",
                "{% macro f() %}{% call f() %}a{% endcall %}{% endmacro %}{{ f() }}",
                "{% macro f() %}{% filter upper %}{{ f() }}{% endfilter %}{% endmacro %}{{ f() }}",
                "{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}",
            ]
            .map(str::to_owned)
            .to_vec(),
            messages: 1,
        },
        Case {
            name: "long expressions",
            templates: vec![
                chain("{{ ", "not ", 1_300, "1 }}"),
                chain("{{ ", "-", 4_000, "1 }}"),
                chain("{{ messages", "~1", 2_000, " }}"),
                chain("{{ messages", "[0]", 1_300, " }}"),
                chain("{{ messages", "()", 2_000, " }}"),
                chain("{{ messages", "|d", 2_000, " }}"),
                chain("{{ 1", "**1", 1_300, " }}"),
                chain("{{ 1", " if 1 else 1", 500, " }}"),
                chain("{% set ", "(", 4_000, "a = 1 %}"),
                chain("{% for ", "(", 4_000, "a in b %}{% endfor %}"),
                chain("{{ ", "(", 4_000, " }}"),
                chain("{{ ", "[", 4_000, " }}"),
                chain("{{ ", "{1:", 1_300, " }}"),
            ],
            messages: 1,
        },
        Case {
            name: "expressions too long to compile",
            templates: ["not ", "-", "1~", "(", "[", "m.", "m|", "x()"].map(|link| chain("{{ ", link, 60_000, "1 }}")).to_vec(),
            messages: 1,
        },
        Case {
            name: "many tags",
            templates: vec![
                chain("{% if a %}", "{% elif a %}", 21_000, "{% endif %}"),
                chain("", "{% if a %}", 21_000, ""),
                chain("", "{% for a in b %}", 16_000, ""),
                chain("{% set x = [] %}", "{% set x = [x] %}", 15_000, "{{ x ~ '' }}"),
            ],
            messages: 40,
        },
    ]
}

/// Tries one case where [`CASE`] names it, in the program that [`hostile_templates_end_in_a_typed_error`] starts.
#[test]
fn one_hostile_case() {
    let Ok(name) = std::env::var(CASE) else { return };
    let case = cases().into_iter().find(|case| case.name == name).unwrap();
    for template in &case.templates {
        match render(template, case.messages) {
            Ok(_)
            | Err(TextError::TemplateEndless { .. } | TextError::TemplateFailed { .. } | TextError::TemplateSyntax { .. }) => {}
            Err(error) => panic!("{template}: {error}"),
        }
    }
}

#[test]
fn hostile_templates_end_in_a_typed_error() {
    let program = std::env::current_exe().unwrap();
    for case in cases() {
        let child = Command::new(&program).args(["--exact", "hostile::one_hostile_case"]).env(CASE, case.name).output().unwrap();
        let told = String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success(), "{}: {}\n{told}", case.name, child.status);
        assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"), "the case was not tried");
    }
}

#[test]
fn work_without_end_says_so() {
    let error = render("a\n{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", 1).unwrap_err();
    assert!(matches!(&error, TextError::TemplateEndless { template, line: 2 } if template == "default"), "{error}");
    let error = render(&format!("a\n{{{{ {}1 }}}}", "-".repeat(5_000)), 1).unwrap_err();
    assert!(matches!(&error, TextError::TemplateSyntax { line: 2, .. }), "{error}");
}

#[test]
fn what_is_kept_no_longer_changes() {
    let kept = "{% set ns = namespace(a=1) %}{% set ns.a = {'b': ns|items} %}{% set ns.c = [1] + ns|items|list %}{{ ns }}";
    assert_eq!(render(kept, 1).unwrap(), "{'a': {'b': [('a', 1)]}, 'c': [1, ('a', {'b': [('a', 1)]})]}");
    let turns = "{% set ns = namespace(a=1) %}{% for i in range(300) %}{% set ns.a = {'b': ns|items} %}{% endfor %}{{ ns }}";
    let error = render(turns, 1).unwrap_err();
    assert!(matches!(&error, TextError::TemplateFailed { reason, .. } if reason.contains("too deeply")), "{error}");
}

#[test]
fn long_conversations_render() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../goldens/templates.json")).unwrap();
    let tools: Vec<_> = golden["tools"].as_array().unwrap().iter().cycle().take(64).cloned().collect();
    let mut messages = vec![Message::new("system", "Answer in a sentence.")];
    for turn in 0..1_000 {
        messages.push(Message::new("user", format!("Question {turn}: {}", "what do you think? ".repeat(40))));
        messages.push(Message::new("assistant", format!("<think>Hm.</think>Answer {turn}: {}", "this and that. ".repeat(40))));
    }
    let specials = golden["special_tokens"].as_object().unwrap();
    let specials: Vec<_> = specials.iter().map(|(name, text)| (name.clone(), text.as_str().unwrap().to_owned())).collect();
    for chat in golden["chats"].as_array().unwrap() {
        let source = chat["template"].as_str().unwrap().to_owned();
        let template = ChatTemplate::from_sources(vec![("default".to_owned(), source)], specials.clone()).unwrap();
        for tools in [None, Some(tools.clone())] {
            let input =
                TemplateInput { messages: messages.clone(), tools, add_generation_prompt: true, ..TemplateInput::default() };
            match template.render(&input) {
                Ok(prompt) => assert!(prompt.contains("Answer 999")),
                // One of them takes no system message.
                Err(TextError::TemplateRefused { .. }) => {}
                Err(error) => panic!("{error}: {}", chat["template"]),
            }
        }
    }
}

/// An expression that holds one of the variables of a loop once, so that values grow deep and not wide.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["ns.v", "ns.w", "messages", "ns"]).prop_map(str::to_owned);
    let around = vec![
        ("[", "]"),
        ("[1, ", "]"),
        ("(", ", 2)"),
        ("{1: ", "}"),
        ("{", ": 1}"),
        ("(", " + [1])"),
        ("(", " == ns.w)"),
        ("(", " ~ 'x')"),
        ("(", ")[0]"),
        ("(", ")[1:]"),
        ("dict(a=", ")"),
        ("namespace(a=", ")"),
        ("not ", ""),
    ];
    let filters = vec!["list", "batch(1)", "items", "reverse", "first", "string", "tojson", "pprint", "sort", "unique", "d"];
    leaf.prop_recursive(8, 8, 1, move |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(around.clone())).prop_map(|(a, (open, close))| format!("{open}{a}{close}")),
            (inner, prop::sample::select(filters.clone())).prop_map(|(a, filter)| format!("({a})|{filter}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a template does in a loop, it comes to an end: with a prompt or with an error.
    #[test]
    fn any_loop_ends(steps in prop::collection::vec((prop::sample::select(vec!["v", "w"]), expression()), 1..4), end in expression(), rounds in 1usize..400) {
        let body: String = steps.iter().map(|(name, value)| format!("{{% set ns.{name} = {value} %}}")).collect();
        let _ = render(&format!("{{% set ns = namespace(v=1, w=[]) %}}{{% for i in range({rounds}) %}}{body}{{% endfor %}}{{{{ {end} }}}}"), 1);
    }
}
