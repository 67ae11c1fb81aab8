//! JSON values as the template engine's values.

use minijinja::Value as JinjaValue;
use serde_json::{Number, Value};

/// A JSON value for templates, with objects in their own order.
pub(super) fn to_jinja(value: &Value) -> JinjaValue {
    match value {
        Value::Null => JinjaValue::from(()),
        Value::Bool(truth) => JinjaValue::from(*truth),
        Value::Number(number) => number_to_jinja(number),
        Value::String(text) => JinjaValue::from(text.as_str()),
        Value::Array(items) => JinjaValue::from_iter(items.iter().map(to_jinja)),
        Value::Object(fields) => JinjaValue::from_pairs(fields.iter().map(|(name, value)| (name.as_str(), to_jinja(value)))),
    }
}

fn number_to_jinja(number: &Number) -> JinjaValue {
    if let Some(whole) = number.as_i64() {
        JinjaValue::from(whole)
    } else if let Some(whole) = number.as_u64() {
        JinjaValue::from(whole)
    } else {
        JinjaValue::from(number.as_f64().unwrap_or(f64::NAN))
    }
}
