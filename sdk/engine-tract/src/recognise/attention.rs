//! Fused attention, `com.microsoft.GroupQueryAttention`, and what attention of either kind needs of its q, k and v.

use super::{Found, Recogniser, Want};
use crate::program::{Attention, Norm, Op};
use crate::rotary::{Angles, Longer, Rotary};
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
                let head_dim = self.source.input_width(past_key).or(self.facts.head_dim);
                let (q, k) = (self.heads(query, head_dim)?, self.heads(key, head_dim)?);
                let width = self.width_of(q.projection)?;
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
        found_attention(attention, inputs, node)
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

    /// Columns of a projection, or of the norm over all of its columns.
    pub(super) fn width_of(&self, value: &'g str) -> Result<Option<usize>, EngineError> {
        if let Some((part, _)) = self.linear(value)? {
            return Ok(Some(part.weight.n()));
        }
        Ok(self.rms_norm(value)?.map(|(norm, _)| norm.weight.len()))
    }

    /// Walks back from the heads of q or k to their projection, noting scale, rotary embedding and norm on the way. A norm of
    /// another width than a head's, over the heads together as in OLMo 2, is where the walk ends.
    pub(super) fn heads(&self, value: &'g str, head_dim: Option<usize>) -> Result<Heads<'g>, EngineError> {
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
                if head_dim.is_some_and(|head_dim| head_dim != norm.weight.len()) {
                    return Ok(heads);
                }
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
        let (Some(cos), Some(sin)) = (node.input(cos), node.input(sin)) else {
            return Err(unsupported(node, "it has no cosine and sine tables"));
        };
        if let (Some(cos), Some(sin)) = (self.source.constant(cos), self.source.constant(sin)) {
            return Ok(Rotary { angles: angles_of(node, cos, sin)?, longer: None, interleaved });
        }
        match (self.source.switched(cos), self.source.switched(sin)) {
            (Some(cos), Some(sin)) if cos.limit == sin.limit => {
                let angles = angles_of(node, cos.below, sin.below)?;
                let longer = Longer { after: cos.limit, angles: angles_of(node, cos.above, sin.above)? };
                if angles.half() != longer.angles.half() {
                    return Err(unsupported(node, "its cosine and sine tables differ in width"));
                }
                Ok(Rotary { angles, longer: Some(longer), interleaved })
            }
            _ => Err(unsupported(node, "its cosine and sine tables are not constant matrices")),
        }
    }
}

fn angles_of(node: &Node, cos: &Tensor, sin: &Tensor) -> Result<Angles, EngineError> {
    match (&cos.dims[..], &sin.dims[..]) {
        ([_, half], other) if cos.dims == *other => {
            let half = *half;
            Ok(Angles::Tables { cos: Vector::of(cos)?, sin: Vector::of(sin)?, half, stride: half })
        }
        _ => Err(unsupported(node, "its cosine and sine tables are not matrices of one shape")),
    }
}

fn window_of(node: &Node) -> Option<usize> {
    node.int("local_window_size").and_then(|w| usize::try_from(w).ok()).filter(|w| *w > 0)
}

pub(super) fn found_attention<'g>(attention: Attention, inputs: Vec<Want<'g>>, node: &'g Node) -> Result<Found<'g>, EngineError> {
    let (q_heads, kv_heads, head_dim) = (attention.q_heads, attention.kv.kv_heads, attention.kv.head_dim);
    if q_heads == 0 || !q_heads.is_multiple_of(kv_heads) {
        return Err(unsupported(node, format!("{q_heads} query heads over {kv_heads} of keys")));
    }
    if let Some(norm) = [&attention.q_norm, &attention.k_norm].into_iter().flatten().find(|norm| norm.weight.len() != head_dim) {
        return Err(unsupported(node, format!("a norm of {} elements on heads of {head_dim}", norm.weight.len())));
    }
    let width = Some(q_heads * head_dim);
    Ok(Found { op: Op::Attention(Box::new(attention)), inputs, width, label: node.label() })
}
