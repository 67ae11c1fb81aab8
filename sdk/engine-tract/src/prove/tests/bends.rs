//! Changes to a decoder that several tests make.

use super::decoder::{Decoder, int, node};
use kinglet_bundle::onnx::AttributeValue;

pub(super) fn see_the_last(d: &mut Decoder, positions: i64) {
    d.ints("window", &[positions]);
    let nodes = vec![
        node("Sub", &["rows", "window"], "far", &[]),
        node("Greater", &["columns", "far"], "near", &[]),
        node("And", &["seen", "near"], "seen_near", &[]),
    ];
    d.before("mask", nodes);
    d.maker("mask").inputs[0] = "seen_near".into();
}

pub(super) fn norms_after_the_rotation(d: &mut Decoder, parts: &[&str]) {
    for part in parts {
        // The rotation reads the heads, the norm what is rotated, and the scores what is normed.
        let (normed, turned, heads) = (format!("{part}n"), format!("{part}r"), format!("{part}t"));
        let at = d.graph.nodes.iter().position(|n| n.outputs[0] == normed).unwrap();
        let mut norm = d.graph.nodes.remove(at);
        for input in d.graph.nodes.iter_mut().flat_map(|n| &mut n.inputs) {
            if *input == normed {
                input.clone_from(&heads);
            } else if *input == turned {
                input.clone_from(&normed);
            }
        }
        norm.inputs[0].clone_from(&turned);
        let after = d.graph.nodes.iter().position(|n| n.outputs[0] == turned).unwrap() + 1;
        d.graph.nodes.insert(after, norm);
    }
}

/// Rotates neighbours instead of halves, as GLM-4, Helium and Cohere 2 are exported.
pub(super) fn turn_neighbours(d: &mut Decoder, part: &str) {
    let name = |what: &str| format!("{part}r/{what}");
    d.ints("by_2", &[2]);
    d.ints("from_1", &[1]);
    d.ints("axis_4", &[4]);
    let shape = name("shape");
    d.ints(&shape, &[0, if part == "q" { 4 } else { 2 }, -1, 4]);
    for (what, from) in [("first", "from_0"), ("second", "from_1")] {
        d.maker(&name(what)).inputs = [&format!("{part}n"), from, "to_end", "axis_3", "by_2"].map(String::from).into();
    }
    let pairs = vec![
        node("Unsqueeze", &[&name("neg"), "axis_4"], &name("neg5"), &[]),
        node("Unsqueeze", &[&name("first"), "axis_4"], &name("first5"), &[]),
        node("Concat", &[&name("neg5"), &name("first5")], &name("pairs"), &[("axis", int(-1))]),
    ];
    d.before(&name("turned"), pairs);
    *d.maker(&name("turned")) = node("Reshape", &[&name("pairs"), &shape], &name("turned"), &[]);
}

pub(super) fn repeat_each_angle(d: &mut Decoder) {
    d.ints("axis_3_of_4", &[3]);
    d.ints("flat_angles", &[0, 0, 4]);
    let repeated = vec![
        node("Unsqueeze", &["angle", "axis_3_of_4"], "angle4", &[]),
        node("Concat", &["angle4", "angle4"], "angle_pairs", &[("axis", int(-1))]),
    ];
    d.before("angles", repeated);
    *d.maker("angles") = node("Reshape", &["angle_pairs", "flat_angles"], "angles", &[]);
}

/// `weight * (x * (1 / sqrt(mean(x^2) + eps)))`.
pub(super) fn take_apart(d: &mut Decoder, value: &str, x: &str, weight: &str) {
    let name = |what: &str| format!("{value}/{what}");
    d.scalar(&name("two"), 2.0);
    d.scalar(&name("eps"), 1e-3);
    d.ints(&name("last"), &[-1]);
    let nodes = vec![
        node("Pow", &[x, &name("two")], &name("square"), &[]),
        node("ReduceMean", &[&name("square"), &name("last")], &name("mean"), &[]),
        node("Add", &[&name("mean"), &name("eps")], &name("sum"), &[]),
        node("Sqrt", &[&name("sum")], &name("root"), &[]),
        node("Reciprocal", &[&name("root")], &name("inverse"), &[]),
        node("Mul", &[x, &name("inverse")], &name("scaled"), &[]),
    ];
    d.before(value, nodes);
    *d.maker(value) = node("Mul", &[&name("scaled"), weight], value, &[]);
}

/// `x - mean(x)` before the first norm.
pub(super) fn centre(d: &mut Decoder, axis: i64) {
    d.ints("mean_axis", &[axis]);
    d.before("n1", vec![node("ReduceMean", &["x0", "mean_axis"], "mean", &[]), node("Sub", &["x0", "mean"], "centred", &[])]);
    d.maker("n1").inputs[0] = "centred".into();
}

pub(super) fn set(d: &mut Decoder, value: &str, attribute: &str, to: AttributeValue) {
    let attributes = &mut d.maker(value).attributes;
    attributes.retain(|a| a.name != attribute);
    attributes.push(kinglet_bundle::onnx::Attribute { name: attribute.into(), value: to });
}

/// Gives grouped attention or the standard's another input.
pub(super) fn give(d: &mut Decoder, place: usize, value: &str) {
    let inputs = &mut d.maker("attended").inputs;
    inputs.resize(inputs.len().max(place + 1), String::new());
    inputs[place] = value.into();
}
