//! Model folders of a given shape with random weights: as large and as fast as the model whose shape it is, and without sense.
//!
//! Everything that speed and memory depend on is there at its size: the folder is laid out, and the graph written, as the model
//! builder of onnxruntime-genai 0.18 does it for `int4` on a CPU.

mod folder;
mod graph;
mod published;
mod random;
mod tensors;

use std::path::PathBuf;

/// The shape of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Name of the shape, such as `qwen2-0.5b`.
    pub name: String,
    /// Family of the model, which decides the parts of its layers.
    pub family: Family,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// The layers, which may differ.
    pub layers: Vec<Layer>,
    /// Rows of the embedding, and logits of a position.
    pub vocabulary: usize,
    /// Positions that the model was made for.
    pub context: usize,
    /// Positions that layers with a window see; which layers those are is the family's choice.
    pub window: Option<usize>,
    /// Epsilon: norms add it to the mean square.
    pub norm_epsilon: f32,
    /// How positions turn heads.
    pub rope: Rope,
    /// Whether the head's weights are the embedding.
    pub tied: bool,
}

/// The widths of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width inside the feed-forward part.
    pub inner: usize,
}

/// How positions turn heads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// The base of the frequencies.
    pub theta: f64,
    /// How frequencies are changed for a long context, where they are.
    pub stretched: Option<Stretched>,
}

/// The `llama3` rule for a long context: low frequencies are divided, high ones stay, those between are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretched {
    /// Divisor of low frequencies.
    pub factor: f64,
    /// Turns in the original context up to which a frequency is low.
    pub low: f64,
    /// Turns in the original context from which on a frequency is high.
    pub high: f64,
    /// The original context.
    pub context: usize,
}

/// Families of models, by the parts of their layers besides attention, a gated feed-forward part and norms before either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Nothing else.
    Llama,
    /// Nothing else; a window that the configuration alone names.
    Mistral,
    /// A bias on queries, keys and values.
    Qwen2,
    /// Tanh GELU; embeddings multiplied by the root of their width.
    Gemma,
    /// As Gemma, with norms after each part as well, caps on scores and logits, and a window on every second layer.
    Gemma2,
    /// Nothing else, once the packed projections of its checkpoints are taken apart.
    Phi3,
    /// Norms on the heads of queries and keys; layers of different widths.
    OpenElm,
}

impl Family {
    /// The `model_type` of configuration files.
    pub fn model_type(self) -> &'static str {
        match self {
            Family::Llama => "llama",
            Family::Mistral => "mistral",
            Family::Qwen2 => "qwen2",
            Family::Gemma => "gemma",
            Family::Gemma2 => "gemma2",
            Family::Phi3 => "phi3",
            Family::OpenElm => "openelm",
        }
    }

    fn is_gemma(self) -> bool {
        matches!(self, Family::Gemma | Family::Gemma2)
    }
}

/// Why a folder could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// No model has this shape; the sentence says why.
    #[error("no model has the shape `{name}`: {why}")]
    Impossible {
        /// The shape's name.
        name: String,
        /// The reason.
        why: String,
    },
    /// The system refuses a file or a folder.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}

/// Weights of a block that share a scale.
const BLOCK: usize = 32;

impl Shape {
    /// The parameters of a model of this shape, embedding and head counted once where they are tied.
    pub fn parameters(&self) -> u64 {
        let table = self.vocabulary * self.hidden * if self.tied { 1 } else { 2 };
        let norms = if self.family == Family::Gemma2 { 4 } else { 2 };
        let of_layer = |layer: &Layer| {
            let (q, kv) = (layer.heads * self.head_dim, layer.kv_heads * self.head_dim);
            let bias = if self.family == Family::Qwen2 { q + 2 * kv } else { 0 };
            let head_norms = if self.family == Family::OpenElm { 2 * self.head_dim } else { 0 };
            (2 * q + 2 * kv + 3 * layer.inner + norms) * self.hidden + bias + head_norms
        };
        (table + self.layers.iter().map(of_layer).sum::<usize>() + self.hidden) as u64
    }

    /// The same family with as many layers and heads and the same differences between layers, 64 wide, of 512 tokens and 512
    /// positions: small enough for a test of everything that sizes do not matter for.
    #[must_use]
    pub fn narrowed(&self) -> Shape {
        let (hidden, head_dim, small) = (64, 32, 512);
        let inner = |inner: usize| (inner * hidden).div_ceil(self.hidden).next_multiple_of(BLOCK);
        Shape {
            name: format!("{}-narrowed", self.name),
            hidden,
            head_dim,
            layers: self.layers.iter().map(|layer| Layer { inner: inner(layer.inner), ..*layer }).collect(),
            vocabulary: small,
            context: small,
            window: self.window.map(|_| small / 8),
            ..self.clone()
        }
    }

    /// The window of a layer, as the graph has it.
    fn graph_window(&self, layer: usize) -> Option<usize> {
        self.window.filter(|_| self.family == Family::Gemma2 && layer.is_multiple_of(2))
    }

    fn check(&self) -> Result<(), ShapeError> {
        let impossible = |why: String| Err(ShapeError::Impossible { name: self.name.clone(), why });
        if self.layers.is_empty() || self.context == 0 {
            return impossible("it needs a layer and a position".into());
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return impossible(format!("heads of {} numbers cannot be turned in pairs", self.head_dim));
        }
        if self.vocabulary < folder::TOKENS {
            return impossible(format!("its {} tokens are fewer than the {} of the tokenizer", self.vocabulary, folder::TOKENS));
        }
        let inputs = self.layers.iter().flat_map(|layer| [layer.heads * self.head_dim, layer.inner]).chain([self.hidden]);
        if let Some(width) = inputs.into_iter().find(|width| *width == 0 || !width.is_multiple_of(BLOCK)) {
            return impossible(format!("{width} inputs of a product are no whole blocks of {BLOCK}"));
        }
        match self.layers.iter().find(|layer| layer.kv_heads == 0 || !layer.heads.is_multiple_of(layer.kv_heads)) {
            Some(Layer { heads, kv_heads, .. }) => {
                impossible(format!("{heads} query heads cannot share {kv_heads} heads of keys and values"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_model_has_is_refused() {
        struct Case(&'static str, fn(&mut Shape));
        let good = Shape::published("smollm2-135m").unwrap().narrowed();
        assert!(good.check().is_ok());
        for Case(word, spoil) in [
            Case("layer", |shape| shape.layers.clear()),
            Case("position", |shape| shape.context = 0),
            Case("pairs", |shape| shape.head_dim = 33),
            Case("tokens", |shape| shape.vocabulary = 258),
            Case("blocks", |shape| shape.hidden = 48),
            Case("blocks", |shape| shape.layers[3].inner = 0),
            Case("share", |shape| shape.layers[1].kv_heads = 2),
            Case("share", |shape| shape.layers[1].kv_heads = 0),
        ] {
            let mut shape = good.clone();
            spoil(&mut shape);
            let error = shape.check().unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("smollm2"), "{error}");
        }
    }
}
