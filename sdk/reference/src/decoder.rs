//! Inputs of a decoder's graph for a text that begins at its first token.

use crate::Tensor;
use kinglet_bundle::IoNames;
use kinglet_bundle::onnx::{Dim, Graph};
use std::collections::HashMap;

/// The inputs of a decoder for `ids`, without a past: token ids, positions from 0, a mask of ones, and caches of no
/// positions, `[1, heads, 0, size]`, as far as the graph asks for them; and that the logits of no row are left out, where it
/// asks how many to keep. An input that is none of these is not given.
pub fn decoder_inputs(graph: &Graph, io: &IoNames, ids: &[u32]) -> HashMap<String, Tensor> {
    let rows = [1, ids.len()];
    let mut given = HashMap::new();
    given.insert(io.input_ids.clone(), Tensor::ints(rows, ids.iter().map(|id| i64::from(*id)).collect()));
    if let Some(name) = &io.attention_mask {
        given.insert(name.clone(), Tensor::ints(rows, vec![1; ids.len()]));
    }
    if let Some(name) = &io.position_ids {
        given.insert(name.clone(), Tensor::ints(rows, (0..ids.len() as i64).collect()));
    }
    for input in graph.inputs.iter().filter(|input| matches!(input.name.as_str(), "num_logits_to_keep" | "logits_to_keep")) {
        let rank = input.dims.as_ref().map_or(0, Vec::len);
        given.insert(input.name.clone(), Tensor::ints(vec![1; rank], vec![0]));
    }
    let is_cache = |name: &str| [&io.past_key, &io.past_value].iter().any(|cache| cache.layer_of(name).is_some());
    for input in graph.inputs.iter().filter(|input| is_cache(&input.name)) {
        let known = input.dims.iter().flatten().enumerate();
        let dims = known.map(|(axis, dim)| match (axis, dim) {
            (0, _) => 1,
            (2, _) => 0,
            (_, Dim::Known(length)) => *length,
            (_, Dim::Symbol(_) | Dim::Unknown) => 0,
        });
        given.insert(input.name.clone(), Tensor::floats(dims.collect::<Vec<_>>(), Vec::new()));
    }
    given
}
