//! Names of a decoder's inputs and outputs.

use std::path::Path;

use kinglet_guard::Shown;

use crate::config::{Decoder, GENAI_CONFIG};
use crate::error::BundleError;
use crate::onnx::{Graph, ValueInfo};

/// The names of a decoder's inputs and outputs: those that `genai_config.json` gives, else the usual ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoNames {
    /// Token ids, `[batch, rows]`.
    pub input_ids: String,
    /// Which positions count, `[batch, past + rows]`; `None` where the graph does not ask.
    pub attention_mask: Option<String>,
    /// The position of each row, `[batch, rows]`; `None` where the graph does not ask.
    pub position_ids: Option<String>,
    /// `[batch, rows, vocabulary]`, or fewer rows in graphs that keep the last alone.
    pub logits: String,
    /// Keys of a layer that were computed before, `[batch, kv_heads, past, head_dim]`.
    pub past_key: NameTemplate,
    /// Values of a layer that were computed before, `[batch, kv_heads, past, head_dim]`.
    pub past_value: NameTemplate,
    /// Keys of a layer with those of this run, `[batch, kv_heads, past + rows, head_dim]`.
    pub present_key: NameTemplate,
    /// Values of a layer with those of this run, `[batch, kv_heads, past + rows, head_dim]`.
    pub present_value: NameTemplate,
    /// Inputs of the graph that are none of these, such as `num_logits_to_keep` or `use_cache_branch`.
    pub other_inputs: Vec<String>,
}

/// A name with the number of a layer in it, written `%d` in `genai_config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate {
    before: String,
    after: String,
}

impl NameTemplate {
    /// Reads `past_key_values.%d.key`; `None` where there is not exactly one `%d`.
    pub fn parse(text: &str) -> Option<NameTemplate> {
        let (before, after) = text.split_once("%d").filter(|(_, after)| !after.contains("%d"))?;
        Some(NameTemplate { before: before.into(), after: after.into() })
    }

    /// The name for a layer.
    pub fn of_layer(&self, layer: usize) -> String {
        format!("{}{layer}{}", self.before, self.after)
    }

    /// The layer that a name is for; `None` where it is not of this form.
    pub fn layer_of(&self, name: &str) -> Option<usize> {
        let number = name.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        number.parse().ok().filter(|layer: &usize| layer.to_string() == number)
    }
}

impl IoNames {
    /// Whether the graph takes keys that were computed before, as a decoder does that goes on from them.
    pub(crate) fn has_past(&self, graph: &Graph) -> bool {
        graph.inputs.iter().any(|input| self.past_key.layer_of(&input.name).is_some())
    }

    /// The names that a configuration gives, held against the graph at `file`.
    pub(crate) fn new(folder: &Path, decoder: Option<&Decoder>, file: &Path, graph: &Graph) -> Result<IoNames, BundleError> {
        let none = Decoder::default();
        let (inputs, outputs) = { (&decoder.unwrap_or(&none).inputs, &decoder.unwrap_or(&none).outputs) };
        let template = |field, given: &Option<String>, usual: &str| {
            let text = given.as_deref().unwrap_or(usual);
            let error = || BundleError::Config { path: folder.join(GENAI_CONFIG), field, value: text.into() };
            NameTemplate::parse(text).ok_or_else(error)
        };
        let name = |given: &Option<String>, usual: &str| given.clone().unwrap_or_else(|| usual.into());
        let is_input = |name: &String| graph.inputs.iter().any(|input| input.name == *name);
        let mut names = IoNames {
            input_ids: required(file, "input", &graph.inputs, name(&inputs.input_ids, "input_ids"))?,
            attention_mask: Some(name(&inputs.attention_mask, "attention_mask")).filter(is_input),
            position_ids: Some(name(&inputs.position_ids, "position_ids")).filter(is_input),
            logits: required(file, "output", &graph.outputs, name(&outputs.logits, "logits"))?,
            past_key: template("past_key_names", &inputs.past_key_names, "past_key_values.%d.key")?,
            past_value: template("past_value_names", &inputs.past_value_names, "past_key_values.%d.value")?,
            present_key: template("present_key_names", &outputs.present_key_names, "present.%d.key")?,
            present_value: template("present_value_names", &outputs.present_value_names, "present.%d.value")?,
            other_inputs: Vec::new(),
        };
        let all = graph.inputs.iter().map(|input| &input.name);
        names.other_inputs = all.filter(|name| !names.has_input(name)).cloned().collect();
        Ok(names)
    }

    fn has_input(&self, name: &str) -> bool {
        let single = [Some(&self.input_ids), self.attention_mask.as_ref(), self.position_ids.as_ref()];
        single.into_iter().flatten().any(|known| known == name)
            || [&self.past_key, &self.past_value].iter().any(|template| template.layer_of(name).is_some())
    }
}

/// Checks that a value of that name is there.
fn required(file: &Path, role: &'static str, values: &[ValueInfo], name: String) -> Result<String, BundleError> {
    if values.iter().any(|value| value.name == name) {
        return Ok(name);
    }
    let mut present: Vec<String> = values.iter().map(|value| Shown(&value.name).to_string()).take(8).collect();
    if values.len() > present.len() {
        present.push("...".into());
    }
    let present = if present.is_empty() { "none at all".into() } else { present.join(", ") };
    Err(BundleError::MissingValue { path: file.into(), role, name, present })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_finds_its_own_names_and_no_others() {
        let template = NameTemplate::parse("past_key_values.%d.key").unwrap();
        assert_eq!(template.of_layer(12), "past_key_values.12.key");
        struct Case(&'static str, Option<usize>);
        for Case(name, layer) in [
            Case("past_key_values.12.key", Some(12)),
            Case("past_key_values.0.key", Some(0)),
            Case("past_key_values.12.value", None),
            Case("past_key_values..key", None),
            Case("past_key_values.key", None),
            Case("past_key_values.01.key", None),
            Case("past_key_values.+1.key", None),
            Case("past_key_values.-1.key", None),
            Case("past_key_values.99999999999999999999.key", None),
        ] {
            assert_eq!(template.layer_of(name), layer, "{name}");
        }
    }

    #[test]
    fn a_template_has_one_place_for_the_layer() {
        assert!(NameTemplate::parse("key").is_none());
        assert!(NameTemplate::parse("%d.%d").is_none());
        assert_eq!(NameTemplate::parse("%d").unwrap().of_layer(3), "3");
    }
}
