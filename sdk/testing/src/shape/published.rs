//! The shapes of models that were published.

use super::{Family, Layer, Rope, Shape, Stretched};

/// A model whose layers are all alike. The numbers are meant to be those of its published `config.json` and were written without
/// it at hand; a test holds what they add up to against the number of parameters that is known of each model.
struct Alike {
    name: &'static str,
    family: Family,
    hidden: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    inner: usize,
    vocabulary: usize,
    context: usize,
    window: Option<usize>,
    norm_epsilon: f32,
    theta: f64,
    stretched: Option<Stretched>,
    tied: bool,
}

/// HuggingFaceTB/SmolLM2-135M.
const SMOLLM2_135M: Alike = Alike {
    name: "smollm2-135m",
    family: Family::Llama,
    hidden: 576,
    layers: 30,
    heads: 9,
    kv_heads: 3,
    head_dim: 64,
    inner: 1536,
    vocabulary: 49_152,
    context: 8192,
    window: None,
    norm_epsilon: 1e-5,
    theta: 1e5,
    stretched: None,
    tied: true,
};

/// HuggingFaceTB/SmolLM2-360M.
const SMOLLM2_360M: Alike =
    Alike { name: "smollm2-360m", hidden: 960, layers: 32, heads: 15, kv_heads: 5, inner: 2560, ..SMOLLM2_135M };

/// Qwen/Qwen2-0.5B-Instruct.
const QWEN2_0_5B: Alike = Alike {
    name: "qwen2-0.5b",
    family: Family::Qwen2,
    hidden: 896,
    layers: 24,
    heads: 14,
    kv_heads: 2,
    head_dim: 64,
    inner: 4864,
    vocabulary: 151_936,
    context: 32_768,
    window: None,
    norm_epsilon: 1e-6,
    theta: 1e6,
    stretched: None,
    tied: true,
};

/// Qwen/Qwen2-1.5B-Instruct.
const QWEN2_1_5B: Alike =
    Alike { name: "qwen2-1.5b", hidden: 1536, layers: 28, heads: 12, head_dim: 128, inner: 8960, ..QWEN2_0_5B };

/// Qwen/Qwen2-7B-Instruct.
const QWEN2_7B: Alike = Alike {
    name: "qwen2-7b",
    hidden: 3584,
    heads: 28,
    kv_heads: 4,
    inner: 18_944,
    vocabulary: 152_064,
    tied: false,
    ..QWEN2_1_5B
};

/// google/gemma-2b.
const GEMMA_2B: Alike = Alike {
    name: "gemma-2b",
    family: Family::Gemma,
    hidden: 2048,
    layers: 18,
    heads: 8,
    kv_heads: 1,
    head_dim: 256,
    inner: 16_384,
    vocabulary: 256_000,
    context: 8192,
    window: None,
    norm_epsilon: 1e-6,
    theta: 1e4,
    stretched: None,
    tied: true,
};

/// google/gemma-2-9b.
const GEMMA2_9B: Alike = Alike {
    name: "gemma2-9b",
    family: Family::Gemma2,
    hidden: 3584,
    layers: 42,
    heads: 16,
    kv_heads: 8,
    inner: 14_336,
    window: Some(4096),
    ..GEMMA_2B
};

/// meta-llama/Meta-Llama-3-8B.
const LLAMA3_8B: Alike = Alike {
    name: "llama3-8b",
    family: Family::Llama,
    hidden: 4096,
    layers: 32,
    heads: 32,
    kv_heads: 8,
    head_dim: 128,
    inner: 14_336,
    vocabulary: 128_256,
    context: 8192,
    window: None,
    norm_epsilon: 1e-5,
    theta: 5e5,
    stretched: None,
    tied: false,
};

/// meta-llama/Llama-3.2-1B.
const LLAMA32_1B: Alike = Alike {
    name: "llama3.2-1b",
    hidden: 2048,
    layers: 16,
    head_dim: 64,
    inner: 8192,
    context: 131_072,
    stretched: Some(Stretched { factor: 32.0, low: 1.0, high: 4.0, context: 8192 }),
    tied: true,
    ..LLAMA3_8B
};

/// mistralai/Mistral-7B-v0.1.
const MISTRAL_7B: Alike = Alike {
    name: "mistral-7b",
    family: Family::Mistral,
    vocabulary: 32_000,
    context: 32_768,
    window: Some(4096),
    theta: 1e4,
    ..LLAMA3_8B
};

/// microsoft/phi-4.
const PHI4_14B: Alike = Alike {
    name: "phi4-14b",
    family: Family::Phi3,
    hidden: 5120,
    layers: 40,
    heads: 40,
    kv_heads: 10,
    inner: 17_920,
    vocabulary: 100_352,
    context: 16_384,
    theta: 2.5e5,
    ..LLAMA3_8B
};

const ALIKE: [Alike; 11] = [
    SMOLLM2_135M,
    SMOLLM2_360M,
    QWEN2_0_5B,
    LLAMA32_1B,
    QWEN2_1_5B,
    GEMMA_2B,
    MISTRAL_7B,
    QWEN2_7B,
    LLAMA3_8B,
    GEMMA2_9B,
    PHI4_14B,
];

/// `num_query_heads` of apple/OpenELM-3B; a fourth as many of keys and values.
const OPENELM_3B_HEADS: [usize; 36] = [
    12, 12, 12, 12, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 24,
    24, 24, 24, 24, 24,
];

/// The widths that its `ffn_multipliers`, from 0.5 to 4.0 of 3072, give in multiples of its `ffn_dim_divisor`, 256.
const OPENELM_3B_INNER: [usize; 36] = [
    1536, 1792, 2048, 2560, 2816, 3072, 3328, 3584, 4096, 4352, 4608, 4864, 5120, 5632, 5888, 6144, 6400, 6656, 7168, 7424, 7680,
    7936, 8192, 8704, 8960, 9216, 9472, 9728, 10_240, 10_496, 10_752, 11_008, 11_264, 11_776, 12_032, 12_288,
];

/// apple/OpenELM-3B.
fn openelm_3b() -> Shape {
    let layer = |(heads, inner): (usize, usize)| Layer { heads, kv_heads: heads / 4, inner };
    Shape {
        name: "openelm-3b".into(),
        family: Family::OpenElm,
        hidden: 3072,
        head_dim: 128,
        layers: OPENELM_3B_HEADS.into_iter().zip(OPENELM_3B_INNER).map(layer).collect(),
        vocabulary: 32_000,
        context: 2048,
        window: None,
        norm_epsilon: 1e-6,
        rope: Rope { theta: 1e4, stretched: None },
        tied: true,
    }
}

impl Shape {
    /// The shapes of published models, the one with the fewest parameters first.
    pub fn all_published() -> Vec<Shape> {
        let mut shapes: Vec<Shape> = ALIKE.iter().map(Alike::shape).chain([openelm_3b()]).collect();
        shapes.sort_by_key(Shape::parameters);
        shapes
    }

    /// The shape of a published model; `None` for a name that none has.
    pub fn published(name: &str) -> Option<Shape> {
        Shape::all_published().into_iter().find(|shape| shape.name == name)
    }
}

impl Alike {
    fn shape(&self) -> Shape {
        Shape {
            name: self.name.into(),
            family: self.family,
            hidden: self.hidden,
            head_dim: self.head_dim,
            layers: vec![Layer { heads: self.heads, kv_heads: self.kv_heads, inner: self.inner }; self.layers],
            vocabulary: self.vocabulary,
            context: self.context,
            window: self.window,
            norm_epsilon: self.norm_epsilon,
            rope: Rope { theta: self.theta, stretched: self.stretched },
            tied: self.tied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hub tells how many parameters the checkpoints hold.
    #[test]
    fn parameters_are_those_of_the_checkpoints() {
        for (name, parameters) in [
            ("smollm2-135m", 134_515_008),
            ("smollm2-360m", 361_821_120),
            ("qwen2-0.5b", 494_032_768),
            ("llama3.2-1b", 1_235_814_400),
            ("qwen2-1.5b", 1_543_714_304),
            ("gemma-2b", 2_506_172_416),
            ("openelm-3b", 3_036_647_424),
            ("mistral-7b", 7_241_732_096),
            ("qwen2-7b", 7_615_616_512),
            ("llama3-8b", 8_030_261_248),
            ("gemma2-9b", 9_241_705_984),
            ("phi4-14b", 14_659_507_200),
        ] {
            let shape = Shape::published(name).unwrap();
            assert_eq!(shape.parameters(), parameters, "{name}");
            assert!(shape.check().is_ok() && shape.narrowed().check().is_ok(), "{name}");
        }
        assert_eq!(Shape::all_published().len(), 12);
        assert_eq!(Shape::published("qwen2"), None);
    }
}
