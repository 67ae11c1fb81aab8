//! Whether the table of operators admits every node on the way from the token ids to the logits.
//!
//! A value is one of three: made of *constants* alone; made of token ids, an *activation*; or *aside*: made of shapes, positions
//! and masks. Every node that makes a constant or an activation which the logits depend on is held against the table: the version
//! that it is of, its inputs, its attributes, the outputs that are read. A type that the table does not have is in no pattern
//! either, and is refused where a pattern is looked for. What is aside is not looked at here: what replaces it is proved.

use super::operators::{CONTRIB, Kind, NEWEST, OPERATORS, Operator, Outputs, Role, Rule, Values, operator};
use crate::source::{ELSEWHERE, Source, unsupported};
use kinglet_bundle::onnx::{Attribute, AttributeValue, Graph, Node};
use kinglet_engine::EngineError;
use std::collections::{HashMap, HashSet};

/// Origin of a value. A node's outputs have the largest of its inputs' origins, at most `Aside` where they are shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Matter {
    Constant,
    Aside,
    Activation,
}

/// Goes from `logits` back through all activations and constants.
///
/// # Errors
/// [`EngineError::UnsupportedNode`] for a node that the table does not admit, with the input or attribute;
/// [`EngineError::UnsupportedGraph`] for an operator set that it does not know.
pub(crate) fn admit<'g>(source: &Source<'g>, ids: &str, logits: &'g str) -> Result<(), EngineError> {
    let graph = source.graph();
    check_opsets(graph)?;
    let matter = Matters::of(source, ids, logits);
    let (mut open, mut seen) = (vec![logits], HashSet::from([logits]));
    while let Some(value) = open.pop() {
        let Some(node) = source.maker(value) else { continue };
        if matter.of_value(value) == Matter::Aside {
            continue;
        }
        let entry = operator(&node.domain, &node.op_type, version(graph, &node.domain));
        match entry {
            Some(entry) => check(node, entry, value)?,
            // Patterns go by names of types, so one that has another meaning here would be taken for the known one.
            None if is_known_elsewhere(node) => return Err(unknown(node)),
            None => {}
        }
        for (i, input) in node.inputs.iter().enumerate().filter(|(_, input)| !input.is_empty()) {
            let is_aside = entry.is_some_and(|entry| matches!(role(entry, i), Some(Role::Aside) | None));
            if !is_aside && seen.insert(input) {
                open.push(input);
            }
        }
    }
    Ok(())
}

/// Whether the table has a node's type in another domain or version.
fn is_known_elsewhere(node: &Node) -> bool {
    OPERATORS.iter().any(|o| o.name == node.op_type)
}

/// The error for a node that no pattern contains.
pub(super) fn unknown(node: &Node) -> EngineError {
    let domain = if node.domain.is_empty() { String::new() } else { format!(" of the domain `{}`", node.domain) };
    unsupported(node, format!("no pattern that Kinglet knows contains this operator{domain} here; {ELSEWHERE}"))
}

/// The version of a domain's operator set; ONNX Runtime's has one alone, which graphs need not name.
pub(super) fn version(graph: &Graph, domain: &str) -> i64 {
    let named = graph.opsets.iter().find(|o| o.domain == domain).map(|o| o.version);
    named.unwrap_or(if domain == CONTRIB { 1 } else { 0 })
}

fn check_opsets(graph: &Graph) -> Result<(), EngineError> {
    match version(graph, "") {
        1..=NEWEST => Ok(()),
        other => Err(EngineError::UnsupportedGraph(format!(
            "it names version {other} of ONNX's operators; versions up to {NEWEST} are known: export the model for one of them"
        ))),
    }
}

/// Origins of all values that the logits depend on.
struct Matters<'g>(HashMap<&'g str, Matter>);

impl<'g> Matters<'g> {
    fn of(source: &Source<'g>, ids: &str, logits: &'g str) -> Self {
        let inputs = source.graph().inputs.iter().map(|input| (input.name.as_str(), Matter::Aside));
        let mut known: HashMap<&'g str, Matter> = inputs.collect();
        if let Some(ids) = known.get_mut(ids) {
            *ids = Matter::Activation;
        }
        let mut open = vec![(logits, false)];
        while let Some((value, are_inputs_known)) = open.pop() {
            if known.contains_key(value) {
                continue;
            }
            let Some(node) = source.maker(value) else {
                known.insert(value, Matter::Constant);
                continue;
            };
            let inputs = node.inputs.iter().map(String::as_str).filter(|i| !i.is_empty());
            if !are_inputs_known {
                open.push((value, true));
                open.extend(inputs.filter(|i| !known.contains_key(i)).map(|i| (i, false)));
                continue;
            }
            let most = inputs.filter_map(|i| known.get(i)).max().copied().unwrap_or(Matter::Constant);
            let is_shape = matches!(node.op_type.as_str(), "Shape" | "Size") && node.domain.is_empty();
            let matter = if is_shape { most.min(Matter::Aside) } else { most };
            known.extend(node.outputs.iter().map(|output| (output.as_str(), matter)));
        }
        Self(known)
    }

    fn of_value(&self, value: &str) -> Matter {
        self.0.get(value).copied().unwrap_or(Matter::Aside)
    }
}

/// The table's requirement on a node's input; none where it does not name the input.
pub(super) fn role(entry: &Operator, input: usize) -> Option<Role> {
    let last = entry.inputs.last().filter(|(_, role)| *role == Role::Each);
    entry.inputs.get(input).or(last).map(|(_, role)| *role)
}

fn check(node: &Node, entry: &Operator, value: &str) -> Result<(), EngineError> {
    let place = node.outputs.iter().position(|output| output == value);
    if let (Outputs::At(places), Some(place)) = (entry.outputs, place)
        && !places.contains(&place)
    {
        return Err(unsupported(node, format!("its output `{value}`, number {place}, is used")));
    }
    let name = |i: usize| entry.inputs.get(i).map_or_else(|| format!("number {i}"), |(name, _)| (*name).to_owned());
    for i in 0..node.inputs.len() {
        let fits = node.input(i).is_none() || !matches!(role(entry, i), Some(Role::Refused) | None);
        if !fits {
            return Err(unsupported(node, format!("its input {} is not supported as it stands", name(i))));
        }
    }
    node.attributes.iter().enumerate().try_for_each(|(i, attribute)| {
        if node.attributes[..i].iter().any(|before| before.name == attribute.name) {
            return Err(unsupported(node, format!("its attribute `{}` is there twice", attribute.name)));
        }
        check_attribute(node, entry, attribute)
    })
}

fn check_attribute(node: &Node, entry: &Operator, attribute: &Attribute) -> Result<(), EngineError> {
    let name = &attribute.name;
    let rule = entry.attributes.iter().find(|(known, _)| known == name).map(|(_, rule)| *rule);
    let fits = match rule {
        Some(Rule::Used(kind)) => is_of(&attribute.value, kind),
        Some(Rule::Neutral(values)) => is_among(&attribute.value, values),
        Some(Rule::Refused) | None => false,
    };
    if fits { Ok(()) } else { Err(unsupported(node, format!("its attribute `{name}` is not supported as it stands"))) }
}

fn is_of(value: &AttributeValue, kind: Kind) -> bool {
    match kind {
        Kind::Int => matches!(value, AttributeValue::Int(_)),
        Kind::Float => matches!(value, AttributeValue::Float(_)),
        Kind::Text => matches!(value, AttributeValue::String(text) if std::str::from_utf8(text).is_ok()),
        Kind::Ints => matches!(value, AttributeValue::Ints(_)),
        Kind::Floats => matches!(value, AttributeValue::Floats(_)),
        Kind::Tensor => matches!(value, AttributeValue::Tensor(_)),
    }
}

pub(super) fn is_among(value: &AttributeValue, values: Values) -> bool {
    match (values, value) {
        (Values::Any(kind), value) => is_of(value, kind),
        (Values::Ints(known), AttributeValue::Int(value)) => known.contains(value),
        (Values::Texts(known), AttributeValue::String(value)) => known.iter().any(|k| k.as_bytes() == value),
        _ => false,
    }
}
