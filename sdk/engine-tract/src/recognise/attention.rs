//! The part of recognition that attention of every form shares: its q, k and v, back to their projections.

use super::norm::FoundNorm;
use super::rope::Turned;
use super::{Found, Recogniser, Want};
use crate::program::{Attention, Norm, Op};
use crate::prove::{AttentionClaim, Claim, Projections};
use crate::rotary::Rotary;
use crate::source::unsupported;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_kernels::LayerKv;

/// Operations between a projection and the scores, found backwards from the scores.
#[derive(Debug)]
pub(super) struct Heads<'g> {
    /// The projection, `[rows, heads * head_dim]`.
    pub(super) projection: &'g str,
    pub(super) norm: Option<FoundNorm<'g>>,
    pub(super) turned: Option<Turned<'g>>,
    /// Whether the norm reads what was rotated.
    pub(super) norm_after_rotation: bool,
    /// Product of all constant factors.
    pub(super) scale: f32,
}

/// One attention, of whatever form, as it was found in the graph.
pub(super) struct Parts<'g> {
    pub(super) node: &'g Node,
    pub(super) q: Option<Heads<'g>>,
    pub(super) k: Option<Heads<'g>>,
    /// The operator's own rotation.
    pub(super) fused: Option<Turned<'g>>,
    pub(super) projections: Projections<'g>,
    pub(super) past: [&'g str; 2],
    pub(super) present: [Option<&'g str>; 2],
    pub(super) q_heads: usize,
    pub(super) kv: LayerKv,
    /// Factor on the scores, without the factors on q and k.
    pub(super) scale: f32,
    pub(super) softcap: Option<f32>,
    pub(super) window: Option<usize>,
    /// Values that decide which positions a row sees.
    pub(super) masks: Vec<&'g str>,
    /// Values that replace the scores of positions that a row does not see.
    pub(super) hidden: Vec<&'g str>,
    /// Conditions around the heads, and what they must be for each row.
    pub(super) guards: Vec<(&'g str, bool)>,
    /// Values that must be the number of positions plus so many.
    pub(super) lengths: Vec<(&'g str, i64)>,
    /// Values that must be the rows' positions.
    pub(super) positions: Vec<&'g str>,
}

impl<'g> Recogniser<'_, 'g> {
    pub(super) fn attention(&mut self, value: &'g str, node: &'g Node) -> Result<Option<Found<'g>>, EngineError> {
        match node.op_type.as_str() {
            "GroupQueryAttention" => self.grouped(value, node).map(Some),
            "Attention" => self.standard(value, node).map(Some),
            "Reshape" | "Transpose" | "MatMul" | "Where" => {
                match self.source.maker_of(self.source.moved(value), &["Attention"]) {
                    Some(attention) => self.standard(value, attention).map(Some),
                    None => self.decomposed(value),
                }
            }
            _ => Ok(None),
        }
    }

    /// The operator for an attention, and what has to be proved before it may stand for the nodes that make `value`.
    pub(super) fn found_attention(&mut self, value: &'g str, parts: Parts<'g>) -> Result<Found<'g>, EngineError> {
        let node = parts.node;
        for past in parts.past {
            let first = *self.attentions.entry(past).or_insert(node);
            if !std::ptr::eq(first, node) {
                return Err(unsupported(node, format!("`{past}` is what `{}` keeps, too", first.label())));
            }
        }
        let (rotary, turned, norm_after_rotation) = rotation(&parts)?;
        let (q, k) = (parts.q, parts.k);
        let scale = |heads: &Option<Heads<'g>>| heads.as_ref().map_or(1.0, |h| h.scale);
        let key_scale = scale(&k);
        let norms = [&q, &k].map(|h| h.as_ref().and_then(|h| h.norm.as_ref()).map(FoundNorm::claim));
        let norm_of = |heads: Option<Heads<'g>>| heads.and_then(|h| h.norm).map(|n| n.norm);
        let mut attention = Attention {
            layer: self.layer_of(parts.past[0], node)?,
            q_heads: parts.q_heads,
            kv: parts.kv,
            scale: parts.scale * scale(&q) * key_scale,
            softcap: parts.softcap,
            window: parts.window,
            q_norm: norm_of(q),
            k_norm: norm_of(k),
            norm_after_rotation,
            rotary: None,
        };
        check_heads(&attention, node)?;
        attention.rotary = rotary.map(|r| self.register(r));
        let inputs = match parts.projections {
            Projections::Packed(qkv) => vec![Want::Value(qkv)],
            Projections::Separate(parts) => vec![Want::Packed(parts)],
        };
        let width = attention.q_heads.checked_mul(attention.kv.head_dim);
        let width = Some(width.ok_or_else(|| unsupported(node, "its heads are too large"))?);
        let claim = AttentionClaim {
            node,
            projections: parts.projections,
            past: parts.past,
            present: parts.present,
            key_scale,
            norms,
            turned,
            masks: parts.masks,
            hidden: parts.hidden,
            guards: parts.guards,
            lengths: parts.lengths,
            positions: parts.positions,
        };
        self.claim(value, Claim::Attention(Box::new(claim)));
        Ok(Found { op: Op::Attention(Box::new(attention)), inputs, width, label: node.label() })
    }

    /// The cache's layer is the place of its past key among the graph's inputs.
    fn layer_of(&self, past_key: &str, node: &Node) -> Result<usize, EngineError> {
        let at = self.source.graph().inputs.iter().position(|i| i.name == past_key);
        at.ok_or_else(|| unsupported(node, format!("`{past_key}` is not an input of the graph")))
    }

    /// The index of a rotary embedding among those met so far.
    fn register(&mut self, rotary: Rotary) -> usize {
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
        Ok(self.rms_norm(value)?.map(|found| found.norm.weight.len()))
    }

    /// Walks back from the heads of q or k to their projection, noting scale, rotary embedding and norm on the way. A norm of
    /// another width than a head's, over the heads together as in OLMo 2, is where the walk ends.
    pub(super) fn heads(&self, value: &'g str, head_dim: Option<usize>) -> Result<Heads<'g>, EngineError> {
        let projection = self.source.moved(value);
        let mut heads = Heads { projection, norm: None, turned: None, norm_after_rotation: false, scale: 1.0 };
        loop {
            let value = heads.projection;
            if self.linear(value)?.is_some() {
                return Ok(heads);
            }
            let before = if let Some((factor, x)) = self.factor(value) {
                heads.scale *= factor;
                x
            } else if let Some((turned, x)) = self.rotated(value)?.filter(|_| heads.turned.is_none()) {
                heads.turned = Some(turned);
                heads.norm_after_rotation = heads.norm.is_some();
                x
            } else if let Some(found) = self.rms_norm(value)?.filter(|_| heads.norm.is_none()) {
                if head_dim.is_some_and(|head_dim| head_dim != found.norm.weight.len()) {
                    return Ok(heads);
                }
                let input = found.input;
                heads.norm = Some(found);
                input
            } else {
                return Ok(heads);
            };
            heads.projection = self.source.moved(before);
        }
    }
}

/// How queries and keys are both rotated, what that was read from, and whether norms come after it.
fn rotation<'g>(parts: &Parts<'g>) -> Result<(Option<Rotary>, Vec<Turned<'g>>, bool), EngineError> {
    let node = parts.node;
    let heads = || [&parts.q, &parts.k].into_iter().flatten();
    let outside: Vec<Option<&Turned<'g>>> = heads().map(|h| h.turned.as_ref()).collect();
    if outside.windows(2).any(|pair| pair[0].map(|t| &t.rotary) != pair[1].map(|t| &t.rotary)) {
        return Err(unsupported(node, "queries and keys are rotated differently"));
    }
    let mut turned: Vec<Turned<'g>> = outside.into_iter().flatten().cloned().collect();
    if parts.fused.is_some() && !turned.is_empty() {
        return Err(unsupported(node, "queries and keys are rotated before it rotates them again"));
    }
    turned.extend(parts.fused.clone());
    let mut orders = heads().filter(|h| h.norm.is_some() && h.turned.is_some()).map(|h| h.norm_after_rotation);
    let last = orders.next().unwrap_or(false);
    if orders.any(|other| other != last) {
        return Err(unsupported(node, "queries and keys are normed and rotated in different orders"));
    }
    Ok((turned.first().map(|t| t.rotary.clone()), turned, last))
}

fn check_heads(attention: &Attention, node: &Node) -> Result<(), EngineError> {
    let (q_heads, kv_heads, head_dim) = (attention.q_heads, attention.kv.kv_heads, attention.kv.head_dim);
    if q_heads == 0 || kv_heads == 0 || !q_heads.is_multiple_of(kv_heads) {
        return Err(unsupported(node, format!("{q_heads} query heads over {kv_heads} of keys")));
    }
    let norm = |norm: &Option<Norm>| norm.as_ref().map(|n| n.weight.len()).filter(|len| *len != head_dim);
    match norm(&attention.q_norm).or(norm(&attention.k_norm)) {
        Some(len) => Err(unsupported(node, format!("a norm of {len} elements on heads of {head_dim}"))),
        None => Ok(()),
    }
}
