//! Fused attention, `com.microsoft.GroupQueryAttention`, and what attention of either kind needs of its q, k and v.

use super::{Found, Recogniser, Want};
use crate::program::{Attention, Norm, Op};
use crate::rotary::{Angles, Rotary};
use crate::source::unsupported;
use crate::weight::Vector;
use kinglet_bundle::onnx::{Node, Tensor};
use kinglet_engine::EngineError;
use kinglet_kernels::LayerKv;

/// What lies between a projection and the scores: read from the scores back.
#[derive(Debug)]
pub(super) struct Heads<'g> {
    /// The projection, `[rows, heads * head_dim]`.
    pub(super) projection: &'g str,
    pub(super) norm: Option<Norm>,
    pub(super) rotary: Option<Rotary>,
    /// Product of all constant factors.
    pub(super) scale: f32,
}

impl<'g> Recogniser<'_, 'g> {
    pub(super) fn attention(&mut self, value: &'g str, node: &'g Node) -> Result<Option<Found<'g>>, EngineError> {
        match node.op_type.as_str() {
            "GroupQueryAttention" => self.grouped(value, node).map(Some),
            "Reshape" | "Transpose" | "MatMul" => self.decomposed(value),
            _ => Ok(None),
        }
    }

    /// Inputs: query (or packed qkv), key, value, past_key, past_value, seqlens_k, total_sequence_length, cos, sin,
    /// position_ids, attention_bias, head_sink, as the contrib operator's documentation lists them.
    fn grouped(&mut self, value: &'g str, node: &'g Node) -> Result<Found<'g>, EngineError> {
        if node.outputs.first().is_none_or(|o| o != value) {
            return Err(unsupported(node, format!("its output `{value}` is used")));
        }
        for (i, what) in [(10, "attention_bias"), (11, "head_sink")] {
            if node.input(i).is_some() {
                return Err(unsupported(node, what));
            }
        }
        if node.int("smooth_softmax") == Some(1) || node.string("k_quant_type").is_some_and(|t| t != "NONE") {
            return Err(unsupported(node, "smooth softmax or a quantised cache"));
        }
        let heads = |name: &str| {
            node.int(name)
                .and_then(|v| usize::try_from(v).ok())
                .filter(|v| *v > 0)
                .ok_or_else(|| unsupported(node, format!("no attribute {name}")))
        };
        let (q_heads, kv_heads) = (heads("num_heads")?, heads("kv_num_heads")?);
        let (Some(query), Some(past_key)) = (node.input(0), node.input(3)) else {
            return Err(unsupported(node, "no query or no past key"));
        };
        let fused = if node.int("do_rotary") == Some(1) {
            Some(self.tables(node, 7, 8, node.int("rotary_interleaved") == Some(1))?)
        } else {
            None
        };
        let separate = node.input(1).zip(node.input(2));
        let (inputs, q, k, q_width) = match separate {
            None => {
                let width = self.linear(query)?.map(|(p, _)| p.weight.n());
                (vec![Want::Value(query)], None, None, width.map(|w| w * q_heads / (q_heads + 2 * kv_heads)))
            }
            Some((key, v)) => {
                let (q, k) = (self.heads(query)?, self.heads(key)?);
                let width = self.linear(q.projection)?.map(|(p, _)| p.weight.n());
                (vec![Want::Packed([q.projection, k.projection, v])], Some(q), Some(k), width)
            }
        };
        let head_dim = q_width.map(|w| w / q_heads).or(self.source.input_width(past_key)).or(self.facts.head_dim);
        let head_dim = head_dim.ok_or_else(|| unsupported(node, "the size of a head is not known"))?;
        if q.as_ref().is_some_and(|q| q.scale != 1.0) || k.as_ref().is_some_and(|k| k.scale != 1.0) {
            return Err(unsupported(node, "scaled queries or keys"));
        }
        let rotary = fused.or_else(|| q.as_ref().and_then(|q| q.rotary.clone()));
        let attention = Attention {
            layer: self.layer_of(past_key, node)?,
            q_heads,
            kv: LayerKv::new(kv_heads, head_dim),
            scale: node.float("scale").filter(|s| *s != 0.0).unwrap_or((head_dim as f32).powf(-0.5)),
            softcap: node.float("softcap").filter(|c| *c > 0.0),
            window: window_of(node).or_else(|| self.configured_window(past_key)),
            q_norm: q.and_then(|q| q.norm),
            k_norm: k.and_then(|k| k.norm),
            rotary: rotary.map(|r| self.register(r)),
        };
        Ok(found_attention(attention, inputs, node.label()))
    }

    /// onnxruntime-genai's builder leaves the window of a model whose layers are all alike to its runtime: the configuration
    /// names it, and no node does.
    fn configured_window(&self, past_key: &str) -> Option<usize> {
        let in_graph = self.source.graph().nodes.iter().any(|n| window_of(n).is_some());
        self.facts.sliding_window.as_ref().filter(|_| !in_graph).and_then(|w| w.of(past_key))
    }

    /// The cache's layer is the place of its past key among the graph's inputs.
    pub(super) fn layer_of(&self, past_key: &str, node: &Node) -> Result<usize, EngineError> {
        let at = self.source.graph().inputs.iter().position(|i| i.name == past_key);
        at.ok_or_else(|| unsupported(node, format!("`{past_key}` is not an input of the graph")))
    }

    /// The index of a rotary embedding among those met so far.
    pub(super) fn register(&mut self, rotary: Rotary) -> usize {
        self.rotaries.iter().position(|r| *r == rotary).unwrap_or_else(|| {
            self.rotaries.push(rotary);
            self.rotaries.len() - 1
        })
    }

    /// Walks back from the heads of q or k to their projection, noting scale, rotary embedding and norm on the way.
    pub(super) fn heads(&self, value: &'g str) -> Result<Heads<'g>, EngineError> {
        let mut heads = Heads { projection: self.source.moved(value), norm: None, rotary: None, scale: 1.0 };
        loop {
            let value = heads.projection;
            if self.linear(value)?.is_some() {
                return Ok(heads);
            }
            let before = if let Some((factor, x)) = self.factor(value) {
                heads.scale *= factor;
                x
            } else if let Some((rotary, x)) = self.rotated(value)? {
                heads.rotary = Some(rotary);
                x
            } else if let Some((norm, x)) = self.rms_norm(value)? {
                heads.norm = Some(norm);
                x
            } else {
                return Ok(heads);
            };
            heads.projection = self.source.moved(before);
        }
    }

    /// Cosine and sine tables, `[positions, half]` each, at two inputs of a node.
    pub(super) fn tables(&self, node: &Node, cos: usize, sin: usize, interleaved: bool) -> Result<Rotary, EngineError> {
        let tensor = |i: usize| node.input(i).and_then(|v| self.source.constant(v)).filter(|t| t.dims.len() == 2);
        let (Some(cos), Some(sin)) = (tensor(cos), tensor(sin)) else {
            return Err(unsupported(node, "its cosine and sine tables are not constant matrices"));
        };
        if cos.dims != sin.dims {
            return Err(unsupported(node, "its cosine and sine tables differ in shape"));
        }
        let half = cos.dims[1];
        let of = |t: &Tensor| Vector::of(t);
        Ok(Rotary { angles: Angles::Tables { cos: of(cos)?, sin: of(sin)?, half, stride: half }, interleaved })
    }
}

fn window_of(node: &Node) -> Option<usize> {
    node.int("local_window_size").and_then(|w| usize::try_from(w).ok()).filter(|w| *w > 0)
}

pub(super) fn found_attention<'g>(attention: Attention, inputs: Vec<Want<'g>>, label: &'g str) -> Found<'g> {
    let width = Some(attention.q_heads * attention.kv.head_dim);
    Found { op: Op::Attention(Box::new(attention)), inputs, width, label }
}
