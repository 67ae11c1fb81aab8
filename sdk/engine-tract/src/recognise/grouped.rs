//! `com.microsoft.GroupQueryAttention`.

use super::attention::{Heads, Parts};
use super::norm::FoundNorm;
use super::rope::Turned;
use super::{Found, Recogniser};
use crate::prove::Projections;
use crate::source::{size_of, unsupported};
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_kernels::LayerKv;

/// Inputs that nothing of ours stands for.
const UNKNOWN_INPUTS: &[(usize, &str)] =
    &[(10, "attention_bias"), (11, "head_sink"), (12, "k_scale, a quantised cache"), (13, "v_scale, a quantised cache")];

/// The first input beyond those that the operator is known to have.
const INPUTS: usize = 16;

impl<'g> Recogniser<'_, 'g> {
    /// Inputs: query (or packed qkv), key, value, past_key, past_value, seqlens_k, total_sequence_length, cos, sin,
    /// position_ids, attention_bias, head_sink, k_scale, v_scale, q_norm_weight, k_norm_weight, as the contrib operator's
    /// documentation lists them.
    pub(super) fn grouped(&mut self, value: &'g str, node: &'g Node) -> Result<Found<'g>, EngineError> {
        check_form(value, node)?;
        let (q_heads, kv_heads) = (size_of(node, "num_heads")?, size_of(node, "kv_num_heads")?);
        let (Some(query), Some(past_key), Some(past_value)) = (node.input(0), node.input(3), node.input(4)) else {
            return Err(unsupported(node, "no query or no past keys and values"));
        };
        // A cache may be cast to the graph's own float type on its way in.
        let [past_key, past_value] = [past_key, past_value].map(|past| self.source.plain(past));
        let fused = if node.int("do_rotary") == Some(1) {
            let tables = self.tables(node, 7, 8, node.int("rotary_interleaved") == Some(1))?;
            Some(Turned { rows: node.input(9), ..tables })
        } else {
            None
        };
        let declared = self.source.input_width(past_key).or(self.facts.head_dim);
        let (projections, mut q, mut k, head_dim) = match node.input(1).zip(node.input(2)) {
            None => {
                let width = self.linear(query)?.map(|(p, _)| p.weight.n());
                let all_heads = kv_heads.checked_mul(2).and_then(|kv| kv.checked_add(q_heads));
                (Projections::Packed(query), None, None, width.zip(all_heads).map(|(width, heads)| width / heads))
            }
            Some((key, v)) => {
                let (q, k) = (self.heads(query, declared)?, self.heads(key, declared)?);
                let width = self.width_of(q.projection)?;
                let projections = Projections::Separate([q.projection, k.projection, v]);
                (projections, Some(q), Some(k), width.map(|w| w / q_heads))
            }
        };
        let head_dim = head_dim.or(declared).filter(|d| *d > 0);
        let head_dim = head_dim.ok_or_else(|| unsupported(node, "the size of a head is not known"))?;
        self.own_norms(node, &projections, &mut q, &mut k)?;
        let window = window_of(node).or_else(|| self.configured_window(past_key));
        let output = |i: usize| node.outputs.get(i).map(String::as_str).filter(|o| !o.is_empty());
        let lengths = [(5, -1), (6, 0)].into_iter().filter_map(|(i, offset)| Some((node.input(i)?, offset))).collect();
        let parts = Parts {
            node,
            q,
            k,
            fused,
            projections,
            past: [past_key, past_value],
            present: [output(1), output(2)],
            q_heads,
            kv: LayerKv::new(kv_heads, head_dim),
            scale: node.float("scale").filter(|s| *s != 0.0).unwrap_or((head_dim as f32).powf(-0.5)),
            softcap: node.float("softcap").filter(|c| *c > 0.0),
            window,
            masks: vec![],
            hidden: vec![],
            guards: vec![],
            lengths,
            positions: node.input(9).into_iter().collect(),
        };
        self.found_attention(value, parts)
    }

    /// The norms that the operator itself has: over each head, before its rotation.
    fn own_norms(
        &self,
        node: &'g Node,
        projections: &Projections<'g>,
        q: &mut Option<Heads<'g>>,
        k: &mut Option<Heads<'g>>,
    ) -> Result<(), EngineError> {
        for (input, heads, at) in [(14, q, 0), (15, k, 1)] {
            let Some(weight) = node.input(input) else { continue };
            let found = self.operator_norm(node, weight, node.float("qk_norm_epsilon").unwrap_or(1e-6));
            let found = found.ok_or_else(|| unsupported(node, format!("`{weight}`, the weight of a norm, is no constant")))?;
            match (heads.as_mut(), projections) {
                // A norm or a rotation before the operator's own norm: two of them, or in another order.
                (Some(Heads { norm: Some(_), .. } | Heads { turned: Some(_), .. }), _) => {
                    return Err(unsupported(
                        node,
                        format!("`{weight}`, the weight of a norm, beside a norm or rotation before it"),
                    ));
                }
                (Some(heads), _) => heads.norm = Some(found),
                (None, Projections::Packed(qkv)) => *heads = Some(Heads::plain(qkv, found)),
                (None, Projections::Separate(parts)) => *heads = Some(Heads::plain(parts[at], found)),
            }
        }
        Ok(())
    }

    /// onnxruntime-genai's builder leaves the window of a model whose layers are all alike to its runtime: the configuration
    /// names it, and no node does.
    fn configured_window(&self, past_key: &str) -> Option<usize> {
        self.facts.sliding_window.as_ref().filter(|_| !self.windows_in_graph).and_then(|w| w.of(past_key))
    }
}

impl<'g> Heads<'g> {
    fn plain(projection: &'g str, norm: FoundNorm<'g>) -> Self {
        Self { projection, norm: Some(norm), turned: None, norm_after_rotation: false, scale: 1.0 }
    }
}

fn check_form(value: &str, node: &Node) -> Result<(), EngineError> {
    if node.outputs.first().is_none_or(|o| o != value) {
        return Err(unsupported(node, format!("its output `{value}` is used")));
    }
    if let Some((_, what)) = UNKNOWN_INPUTS.iter().find(|(i, _)| node.input(*i).is_some()) {
        return Err(unsupported(node, *what));
    }
    if let Some(unknown) = node.inputs.iter().skip(INPUTS).find(|i| !i.is_empty()) {
        return Err(unsupported(node, format!("its input `{unknown}`")));
    }
    let quantised = ["k_quant_type", "v_quant_type"].iter().any(|a| node.string(a).is_some_and(|t| t != "NONE"));
    // ONNX Runtime keeps 32 bits, and sees nothing through a window of 0.
    if let Some(odd) = node.int("local_window_size").filter(|w| *w == 0 || i32::try_from(*w).is_err()) {
        return Err(unsupported(node, format!("a window of {odd} positions; without one, it is -1")));
    }
    if node.int("smooth_softmax") == Some(1) || quantised || node.int("qk_output").is_some_and(|o| o != 0) {
        return Err(unsupported(node, "smooth softmax, scores as an output, or a quantised cache"));
    }
    Ok(())
}

/// The window that a node names: a row sees itself and as many rows before it as make up that number.
pub(crate) fn window_of(node: &Node) -> Option<usize> {
    node.int("local_window_size").and_then(|w| usize::try_from(w).ok()).filter(|w| *w > 0)
}
