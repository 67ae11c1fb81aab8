//! `Attention` of ONNX's operator sets 23 and 24, over three axes or four.

use super::attention::Parts;
use super::{Found, Recogniser};
use crate::prove::Projections;
use crate::source::unsupported;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_kernels::LayerKv;

impl<'g> Recogniser<'_, 'g> {
    /// Inputs: Q, K, V, attn_mask, past_key, past_value. Outputs: Y, present_key, present_value. The past may also have been
    /// put before K and V.
    pub(super) fn standard(&mut self, value: &'g str, node: &'g Node) -> Result<Found<'g>, EngineError> {
        if !node.domain.is_empty() {
            return Err(unsupported(node, format!("of the domain `{}`", node.domain)));
        }
        if node.outputs.first().is_none_or(|o| o != self.source.moved(value)) {
            return Err(unsupported(node, format!("its output `{value}` is used")));
        }
        if let Some(unknown) = node.inputs.iter().skip(6).find(|i| !i.is_empty()) {
            return Err(unsupported(node, format!("its input `{unknown}`, lengths of padded keys")));
        }
        let (Some(query), Some(key), Some(values)) = (node.input(0), node.input(1), node.input(2)) else {
            return Err(unsupported(node, "no queries, keys or values"));
        };
        let own = node.input(4).zip(node.input(5));
        let output = |i: usize| node.outputs.get(i).map(String::as_str).filter(|o| !o.is_empty());
        let (past, present, key, values, after) = match own {
            Some((past_key, past_value)) => ([past_key, past_value], [output(1), output(2)], key, values, 1.0),
            None => {
                let (k, v) = (self.cached_or_refuse(key, node)?, self.cached_or_refuse(values, node)?);
                ([k.past, v.past], [Some(k.present), Some(v.present)], k.value, v.value, k.scale)
            }
        };
        let head_dim = self.head_dim_of(past[0], node)?;
        let (q, k) = (self.heads(query, Some(head_dim))?, self.heads(key, Some(head_dim))?);
        let v = self.source.moved(values);
        let (q_heads, kv_heads) = self.head_counts(node, [q.projection, k.projection, v], head_dim)?;
        let parts = Parts {
            node,
            projections: Projections::Separate([q.projection, k.projection, v]),
            q: Some(q),
            k: Some(k),
            fused: None,
            past,
            present,
            q_heads,
            kv: LayerKv::new(kv_heads, head_dim),
            scale: after * node.float("scale").unwrap_or((head_dim as f32).powf(-0.5)),
            softcap: node.float("softcap").filter(|c| *c > 0.0),
            window: None,
            masks: node.input(3).into_iter().collect(),
            hidden: vec![],
            guards: vec![],
            lengths: vec![],
            positions: vec![],
        };
        self.found_attention(value, parts)
    }
}
