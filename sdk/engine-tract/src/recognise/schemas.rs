//! The table of operators against the schemas of ONNX and of ONNX Runtime, as `models/goldens/schemas.py` wrote them down.

use super::admit::{is_among, role};
use super::operators::{Kind, NEWEST, OPERATORS, Operator, Outputs, Role, Rule, Values};
use kinglet_bundle::onnx::AttributeValue;
use serde_json::Value;
use std::collections::BTreeSet;

fn facts() -> Value {
    serde_json::from_str(include_str!("../../../../models/goldens/schemas.json")).unwrap()
}

/// The names in a list.
fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

/// The type that a rule takes an attribute for, as the schemas name it; none where it takes none.
fn kind_of(rule: Rule) -> Option<&'static str> {
    let kind = match rule {
        Rule::Used(kind) | Rule::Neutral(Values::Any(kind)) => kind,
        Rule::Neutral(Values::Ints(_)) => Kind::Int,
        Rule::Neutral(Values::Texts(_)) => Kind::Text,
        Rule::Refused => return None,
    };
    Some(match kind {
        Kind::Int => "INT",
        Kind::Float => "FLOAT",
        Kind::Text => "STRING",
        Kind::Ints => "INTS",
        Kind::Floats => "FLOATS",
        Kind::Tensor => "TENSOR",
    })
}

/// A default of the schema as the attribute that stands for it.
fn attribute_of(default: &Value) -> AttributeValue {
    match default {
        Value::Number(number) if number.is_i64() => AttributeValue::Int(number.as_i64().unwrap()),
        Value::Number(number) => AttributeValue::Float(number.as_f64().unwrap() as f32),
        Value::String(text) => AttributeValue::String(text.clone().into_bytes()),
        other => panic!("a default {other}"),
    }
}

/// Inputs, outputs and attributes of a signature that an entry of the table does not name, or takes for something else.
fn unspoken(entry: &Operator, signature: &Value) -> Vec<String> {
    let mut found = vec![];
    for (i, input) in names(&signature["inputs"]).into_iter().enumerate() {
        let known = entry.inputs.get(i).map(|(name, _)| *name);
        if role(entry, i).is_none() || known.is_some_and(|name| name != input) {
            found.push(format!("input {i} `{input}`, known as {known:?}"));
        }
    }
    if let Outputs::At(places) = entry.outputs
        && places.iter().any(|&place| place >= names(&signature["outputs"]).len())
    {
        found.push(format!("outputs {:?}", signature["outputs"]));
    }
    for (name, attribute) in signature["attributes"].as_object().unwrap() {
        let rule = entry.attributes.iter().find(|(known, _)| known == name).map(|(_, rule)| *rule);
        let Some(rule) = rule else {
            found.push(format!("attribute `{name}`"));
            continue;
        };
        let default = &attribute["default"];
        let is_neutral = |values| default.is_null() || is_among(&attribute_of(default), values);
        let fits = match rule {
            Rule::Used(_) | Rule::Refused => true,
            Rule::Neutral(values) => is_neutral(values),
        };
        if !fits || kind_of(rule).is_some_and(|kind| attribute["type"] != kind) {
            found.push(format!("attribute `{name}`, {attribute}, taken for {rule:?}"));
        }
    }
    found
}

/// The signatures of an operator that hold in versions of an entry.
fn signatures<'f>(facts: &'f Value, entry: &Operator) -> Vec<&'f Value> {
    let of_name = |o: &&Value| o["domain"] == entry.domain && o["name"] == entry.name;
    let mut found = vec![];
    for operator in facts["operators"].as_array().unwrap().iter().filter(of_name) {
        let all = operator["signatures"].as_array().unwrap();
        for (i, signature) in all.iter().enumerate() {
            let since = signature["since"].as_i64().unwrap();
            let until = all.get(i + 1).map_or(NEWEST, |next| next["since"].as_i64().unwrap() - 1);
            if since <= entry.versions.1 && until >= entry.versions.0 {
                found.push(signature);
            }
        }
    }
    found
}

#[test]
fn the_table_speaks_of_every_input_and_attribute() {
    let facts = facts();
    assert_eq!(facts["opset"], NEWEST);
    let mut problems = vec![];
    for entry in OPERATORS {
        let signatures = signatures(&facts, entry);
        assert!(!signatures.is_empty(), "no schema of {} in versions {:?}", entry.name, entry.versions);
        problems.extend(signatures.iter().flat_map(|s| unspoken(entry, s)).map(|what| format!("{}: {what}", entry.name)));
        let known: BTreeSet<&str> =
            signatures.iter().flat_map(|s| s["attributes"].as_object().unwrap().keys()).map(String::as_str).collect();
        let invented = entry.attributes.iter().filter(|(name, _)| !known.contains(name));
        problems.extend(invented.map(|(name, _)| format!("{}: no schema has the attribute `{name}`", entry.name)));
        let most = signatures.iter().map(|s| names(&s["inputs"]).len()).max();
        if most != Some(entry.inputs.len()) {
            problems.push(format!("{}: {} inputs where schemas have {most:?}", entry.name, entry.inputs.len()));
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn the_table_and_the_schemas_name_the_same_operators() {
    let facts = facts();
    let operators = facts["operators"].as_array().unwrap().iter();
    let there: BTreeSet<(&str, &str)> = operators.map(|o| (o["domain"].as_str().unwrap(), o["name"].as_str().unwrap())).collect();
    let here: BTreeSet<(&str, &str)> = OPERATORS.iter().map(|o| (o.domain, o.name)).collect();
    assert_eq!(here, there);
    for (i, a) in OPERATORS.iter().enumerate() {
        let overlaps = |b: &&Operator| {
            (a.domain, a.name) == (b.domain, b.name) && a.versions.0 <= b.versions.1 && b.versions.0 <= a.versions.1
        };
        assert_eq!(OPERATORS[i + 1..].iter().find(overlaps).map(|b| b.versions), None, "{} in versions {:?}", a.name, a.versions);
    }
}

#[test]
fn what_the_table_is_silent_of_is_found() {
    let entry = Operator {
        domain: "",
        name: "Turn",
        versions: (1, 2),
        inputs: &[("X", Role::Data)],
        attributes: &[("axis", Rule::Neutral(Values::Ints(&[-1])))],
        outputs: Outputs::At(&[0]),
        left_to_tract: false,
        hides_nan: false,
    };
    let silent_of = |inputs: &str, axis: &str, more: &str| {
        let attributes = format!(r#"{{"axis":{{"type":"INT","default":{axis}}}{more}}}"#);
        let text = format!(r#"{{"inputs":[{inputs}],"outputs":["Y"],"attributes":{attributes}}}"#);
        unspoken(&entry, &serde_json::from_str(&text).unwrap()).join("; ")
    };
    assert_eq!(silent_of(r#""X""#, "-1", ""), "");
    assert!(silent_of(r#""X","bias""#, "-1", "").contains("`bias`"));
    assert!(silent_of(r#""A""#, "-1", "").contains("`A`"));
    assert!(silent_of(r#""X""#, "0", "").contains("`axis`"), "a default that is not neutral");
    assert!(silent_of(r#""X""#, r#""last""#, "").contains("`axis`"), "another type");
    assert!(silent_of(r#""X""#, "-1", r#","mode":{"type":"INT","default":0}"#).contains("`mode`"));
}
