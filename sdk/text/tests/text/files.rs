//! Which files are read, and what is said of those that cannot be used.

use kinglet_text::{ChatTemplate, Message, TemplateInput, TextError, TextFiles, Tokenizer};
use serde_json::json;

use crate::fixtures::{Folder, byte_fallback, byte_level};

fn render(folder: &Folder, template: Option<&str>) -> Result<String, TextError> {
    let files = folder.files();
    let tokenizer = Tokenizer::from_files(&files)?;
    let templates = ChatTemplate::from_files(&files, &tokenizer)?.unwrap();
    let input = TemplateInput {
        messages: vec![Message::new("user", "x")],
        template: template.map(str::to_owned),
        ..TemplateInput::default()
    };
    templates.render(&input)
}

fn with_tokenizer(files: &[(&str, &str)]) -> Folder {
    let mut all = vec![("tokenizer.json", byte_level().json().to_string())];
    all.extend(files.iter().map(|&(name, text)| (name, text.to_owned())));
    Folder::new(&all)
}

#[test]
fn templates_are_found_in_old_and_newer_places() {
    struct Case {
        name: &'static str,
        files: &'static [(&'static str, &'static str)],
        ask: Option<&'static str>,
        rendered: &'static str,
    }
    const LIST: &str = r#"{"chat_template": [{"name": "default", "template": "D"}, {"name": "rag", "template": "R"}]}"#;
    let cases = [
        Case { name: "a string", files: &[("tokenizer_config.json", r#"{"chat_template": "S"}"#)], ask: None, rendered: "S" },
        Case { name: "a list", files: &[("tokenizer_config.json", LIST)], ask: None, rendered: "D" },
        Case { name: "by name from a list", files: &[("tokenizer_config.json", LIST)], ask: Some("rag"), rendered: "R" },
        Case { name: "a file", files: &[("chat_template.jinja", "F\n")], ask: None, rendered: "F" },
        Case {
            name: "a file before the configuration",
            files: &[("chat_template.jinja", "F"), ("tokenizer_config.json", r#"{"chat_template": "S"}"#)],
            ask: None,
            rendered: "F",
        },
        Case {
            name: "a named file",
            files: &[("chat_template.jinja", "F"), ("additional_chat_templates/rag.jinja", "R")],
            ask: Some("rag"),
            rendered: "R",
        },
        Case { name: "the oldest form", files: &[("chat_template.json", r#"{"chat_template": "J"}"#)], ask: None, rendered: "J" },
        Case {
            name: "the oldest form gives way",
            files: &[("chat_template.json", r#"{"chat_template": "J"}"#), ("tokenizer_config.json", r#"{"chat_template": "S"}"#)],
            ask: None,
            rendered: "S",
        },
        Case { name: "a byte order mark", files: &[("chat_template.jinja", "\u{feff}F")], ask: None, rendered: "F" },
    ];
    for case in cases {
        assert_eq!(render(&with_tokenizer(case.files), case.ask).unwrap(), case.rendered, "{}", case.name);
    }
    let folder = with_tokenizer(&[]);
    assert!(ChatTemplate::from_files(&folder.files(), &folder.tokenizer()).unwrap().is_none());
}

#[test]
fn tools_choose_the_template_for_tools() {
    let folder = with_tokenizer(&[("chat_template.jinja", "F"), ("additional_chat_templates/tool_use.jinja", "T")]);
    let templates = ChatTemplate::from_files(&folder.files(), &folder.tokenizer()).unwrap().unwrap();
    assert_eq!(templates.named(), ["default", "tool_use"]);
    let input = TemplateInput { messages: vec![Message::new("user", "x")], tools: Some(Vec::new()), ..TemplateInput::default() };
    assert_eq!(templates.render(&input).unwrap(), "T");
    let named = TemplateInput { template: Some("default".to_owned()), ..input };
    assert_eq!(templates.render(&named).unwrap(), "F");
}

#[test]
fn each_unusable_file_is_named_with_what_is_wrong() {
    struct Case {
        name: &'static str,
        files: Vec<(&'static str, String)>,
        says: &'static [&'static str],
    }
    let good = byte_level().json().to_string();
    let config = |text: &str| vec![("tokenizer.json", good.clone()), ("tokenizer_config.json", text.to_owned())];
    let mut trailing_strip = byte_fallback(false);
    trailing_strip.decoder["decoders"][3]["stop"] = json!(2);
    let mut undefined = byte_level();
    undefined.post_processor = json!({ "type": "Sequence", "processors": [undefined.post_processor] });
    undefined.post_processor["processors"][0]["special_tokens"] = json!({});
    let mut unknown_model = byte_level();
    unknown_model.model["type"] = json!("Telepathy");
    let mut bad_pattern = byte_level();
    bad_pattern.pre_tokenizer = json!({ "type": "Split", "pattern": { "Regex": "(" }, "behavior": "Isolated", "invert": false });
    let mut cut_in_decoder = byte_level().json().to_string();
    cut_in_decoder.truncate(cut_in_decoder.find("\"decoder\"").unwrap() + 20);
    let cases = [
        Case { name: "no tokenizer", files: vec![], says: &["tokenizer.json", "could not be read"] },
        Case {
            name: "an empty file",
            files: vec![("tokenizer.json", String::new())],
            says: &["tokenizer.json", "line 1, column 0"],
        },
        Case {
            name: "half a file",
            files: vec![("tokenizer.json", good[..good.len() / 2].to_owned())],
            says: &["tokenizer.json", "line 1, column"],
        },
        Case {
            name: "a file that ends in the decoder",
            files: vec![("tokenizer.json", cut_in_decoder)],
            says: &["tokenizer.json", "line 1"],
        },
        Case {
            name: "not an object",
            files: vec![("tokenizer.json", "[]".to_owned())],
            says: &["tokenizer.json", "no tokenizer"],
        },
        Case {
            name: "no model",
            files: vec![("tokenizer.json", "{\"version\": \"1.0\"}".to_owned())],
            says: &["no tokenizer", "odel"],
        },
        Case {
            name: "an unknown model",
            files: vec![("tokenizer.json", unknown_model.json().to_string())],
            says: &["no tokenizer"],
        },
        Case { name: "an unknown version", files: vec![("tokenizer.json", "{\"version\": \"9.0\"}".to_owned())], says: &["9.0"] },
        Case { name: "a bad pattern", files: vec![("tokenizer.json", bad_pattern.json().to_string())], says: &["no tokenizer"] },
        Case {
            name: "a post-processor with an undefined token",
            files: vec![("tokenizer.json", undefined.json().to_string())],
            says: &["`post_processor`", "`<|bos|>`"],
        },
        Case {
            name: "a decoder that strips ends",
            files: vec![("tokenizer.json", trailing_strip.json().to_string())],
            says: &["strips the end"],
        },
        Case {
            name: "a configuration that is no JSON",
            files: config("{\n  \"a\": ,\n}"),
            says: &["tokenizer_config.json", "line 2, column 8"],
        },
        Case {
            name: "a configuration that is a list",
            files: config("[]"),
            says: &["tokenizer_config.json", "a list was found"],
        },
        Case {
            name: "a token that is a number",
            files: config("{\"eos_token\": 3}"),
            says: &["`eos_token`", "a number was found"],
        },
        Case {
            name: "a listed token without text",
            files: config("{\"added_tokens_decoder\": {\"5\": {}}}"),
            says: &["`added_tokens_decoder.5`"],
        },
        Case {
            name: "a listed token without a number",
            files: config("{\"added_tokens_decoder\": {\"x\": {}}}"),
            says: &["`added_tokens_decoder.x`", "not a token id"],
        },
        Case {
            name: "a template that is a number",
            files: config("{\"chat_template\": 1}"),
            says: &["`chat_template`", "a number was found"],
        },
        Case {
            name: "a list of bare templates",
            files: config("{\"chat_template\": [\"x\"]}"),
            says: &["`chat_template`", "a string was found"],
        },
        Case {
            name: "a template that is no Jinja",
            files: config("{\"chat_template\": \"a\\n{% if %}\"}"),
            says: &["`default`", "line 2"],
        },
        Case {
            name: "an unknown tag",
            files: config("{\"chat_template\": \"{% frobnicate %}\"}"),
            says: &["line 1", "frobnicate"],
        },
    ];
    for case in cases {
        let message = render(&Folder::new(&case.files), None).unwrap_err().to_string();
        for part in case.says {
            assert!(message.contains(part), "{}: `{part}` is missing in: {message}", case.name);
        }
    }
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let folder = Folder::new(&[]);
    std::fs::write(folder.directory.path().join("tokenizer.json"), b"{\"a\": \"\xff\"}").unwrap();
    let error = Tokenizer::from_files(&folder.files()).unwrap_err();
    assert!(matches!(error, TextError::NotText { offset: 7, .. }), "{error}");
    let error = Tokenizer::from_files(&TextFiles::default()).unwrap_err();
    assert!(matches!(error, TextError::Read { .. }), "{error}");
}

#[test]
fn what_errors_quote_from_files_cannot_steer_a_terminal() {
    let folder = with_tokenizer(&[("chat_template.jinja", "{{ raise_exception('\u{1b}[2J\u{202e}no\n' ~ 'x' * 9000) }}")]);
    let error = render(&folder, None).unwrap_err();
    assert!(
        matches!(&error, TextError::TemplateRefused { message } if message.starts_with("\u{1b}")),
        "the caller gets all of it"
    );
    let shown = error.to_string();
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\n']) && shown.contains("no") && shown.len() < 5_000, "{shown}");
    let named = with_tokenizer(&[("tokenizer_config.json", "{\"added_tokens_decoder\": {\"\\u001b[31m\": {}}}")]);
    let shown = Tokenizer::from_files(&named.files()).unwrap_err().to_string();
    assert!(!shown.contains('\u{1b}') && shown.contains("[31m"), "{shown}");
}
