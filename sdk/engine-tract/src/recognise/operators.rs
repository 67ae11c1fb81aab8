//! The operators that recognition looks at or leaves to tract, as data: what each of their inputs and attributes may be.
//!
//! An input or attribute is *used* (recognition or tract reads it, and refuses what it does not know), *neutral* at some values,
//! or refused. Inputs and attributes that the table does not name are refused too: a node whose meaning depends on one that is
//! never read would be computed as if it were not there. A test holds the table against the schemas of ONNX and of ONNX Runtime
//! (`models/goldens/schemas.json`), of which it must name every input and every attribute.

/// The newest version of ONNX's own operator set that the table was held against.
pub(crate) const NEWEST: i64 = 28;

/// The domain of ONNX Runtime's operators; there is one version of it.
pub(crate) const CONTRIB: &str = "com.microsoft";

/// One operator, in some versions of its domain's operator set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operator {
    /// Empty for ONNX itself.
    pub(crate) domain: &'static str,
    pub(crate) name: &'static str,
    /// The first and the last version in which the entry holds.
    pub(crate) versions: (i64, i64),
    /// By position, with the names of the schema.
    pub(crate) inputs: &'static [(&'static str, Role)],
    pub(crate) attributes: &'static [(&'static str, Rule)],
    /// The outputs that may be read.
    pub(crate) outputs: Outputs,
    /// Whether tract runs it where no pattern fits: it works element by element, so that rows stay rows.
    pub(crate) left_to_tract: bool,
    /// Whether tract makes a number of NaN there, where ONNX Runtime makes NaN.
    pub(crate) hides_nan: bool,
}

/// Requirement on an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Activations or constants; what makes them is looked at in turn.
    Data,
    /// The same, any number of times: the last of the inputs.
    Each,
    /// A constant of one element.
    Scalar,
    /// A constant as long as a row of the activations.
    Row,
    /// A shape, positions, a mask: recognition proves what they say, or reads them.
    Aside,
    /// Must not be there.
    Refused,
}

/// Requirement on an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Read by recognition or by tract.
    Used(Kind),
    /// Changes nothing at these values, among which the default is.
    Neutral(Values),
    /// Must not be there.
    Refused,
}

/// The type of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Float,
    Text,
    Ints,
    Floats,
    Tensor,
}

/// Some values of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    Any(Kind),
    Ints(&'static [i64]),
    Texts(&'static [&'static str]),
}

/// Places among a node's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outputs {
    All,
    At(&'static [usize]),
}

use Kind::{Float, Floats, Int, Ints, Tensor, Text};
use Role::{Aside, Data, Each, Row, Scalar};
use Rule::{Neutral, Refused, Used};

type Inputs = &'static [(&'static str, Role)];
type Attributes = &'static [(&'static str, Rule)];

const fn onnx(name: &'static str, since: i64, inputs: Inputs, attributes: Attributes) -> Operator {
    let outputs = Outputs::At(&[0]);
    Operator { domain: "", name, versions: (since, NEWEST), inputs, attributes, outputs, left_to_tract: false, hides_nan: false }
}

const fn contrib(name: &'static str, inputs: Inputs, attributes: Attributes) -> Operator {
    Operator { domain: CONTRIB, versions: (1, 1), ..onnx(name, 1, inputs, attributes) }
}

/// The operator up to and with a version.
const fn until(last: i64, operator: Operator) -> Operator {
    Operator { versions: (operator.versions.0, last), ..operator }
}

/// The operator with other outputs than the first that may be read.
const fn giving(outputs: Outputs, operator: Operator) -> Operator {
    Operator { outputs, ..operator }
}

/// The operator, left to tract where no pattern fits.
const fn tract(operator: Operator) -> Operator {
    Operator { left_to_tract: true, ..operator }
}

/// The same where NaN has to be put back.
const fn tract_but_nan(operator: Operator) -> Operator {
    Operator { hides_nan: true, ..tract(operator) }
}

const AB: Inputs = &[("A", Data), ("B", Data)];
const X: Inputs = &[("X", Data)];
const INPUT: Inputs = &[("input", Data)];
const DATA: Inputs = &[("data", Data)];
const AXES: Inputs = &[("data", Data), ("axes", Aside)];
const QUANTISED: Inputs = &[("x", Data), ("x_scale", Data), ("x_zero_point", Data)];
const WHOLE: Rule = Neutral(Values::Ints(&[0]));
/// Statistics are taken in float32.
const STASH: (&str, Rule) = ("stash_type", Neutral(Values::Ints(&[1])));
const FLOATS_OUT: Rule = Neutral(Values::Ints(&[0, 1, 10, 16]));
const SLICE: Inputs = &[("data", Data), ("starts", Aside), ("ends", Aside), ("axes", Aside), ("steps", Aside)];
const SCALED_NORM: Inputs = &[("X", Data), ("scale", Data)];
const NORM: Attributes = &[("axis", Used(Int)), ("epsilon", Used(Float)), STASH];
const ROTARY: [(&str, Rule); 3] = [("interleaved", Used(Int)), ("num_heads", Used(Int)), ("rotary_embedding_dim", Used(Int))];
const DROPOUT: Inputs = &[("data", Data), ("ratio", Aside), ("training_mode", Role::Refused)];
const ATTENTION: Inputs = &[
    ("Q", Data),
    ("K", Data),
    ("V", Data),
    ("attn_mask", Aside),
    ("past_key", Data),
    ("past_value", Data),
    ("nonpad_kv_seqlen", Aside),
];
const ATTENTION_ATTRIBUTES: Attributes = &[
    ("is_causal", Used(Int)),
    ("kv_num_heads", Used(Int)),
    ("q_num_heads", Used(Int)),
    ("qk_matmul_output_mode", Neutral(Values::Any(Int))),
    ("scale", Used(Float)),
    ("softcap", Used(Float)),
    ("softmax_precision", Neutral(Values::Ints(&[1, 11]))),
    ("left_window_size", Neutral(Values::Ints(&[-1]))),
    ("right_window_size", Neutral(Values::Ints(&[-1]))),
];

/// The table.
pub(crate) const OPERATORS: &[Operator] = &[
    // Operators that move or rename elements.
    onnx("Identity", 1, INPUT, &[]),
    onnx(
        "Cast",
        6,
        INPUT,
        &[("to", Used(Int)), ("saturate", Neutral(Values::Any(Int))), ("round_mode", Neutral(Values::Any(Text)))],
    ),
    until(11, onnx("Dropout", 7, DATA, &[("ratio", Neutral(Values::Any(Float)))])),
    onnx("Dropout", 12, DROPOUT, &[("seed", Neutral(Values::Any(Int)))]),
    onnx("Reshape", 5, &[("data", Data), ("shape", Aside)], &[("allowzero", Used(Int))]),
    onnx("Transpose", 1, DATA, &[("perm", Used(Ints))]),
    until(12, onnx("Unsqueeze", 1, DATA, &[("axes", Used(Ints))])),
    onnx("Unsqueeze", 13, AXES, &[]),
    until(12, onnx("Squeeze", 1, DATA, &[("axes", Used(Ints))])),
    onnx("Squeeze", 13, AXES, &[]),
    onnx("Expand", 8, &[("input", Data), ("shape", Aside)], &[]),
    onnx("Flatten", 1, INPUT, &[("axis", Used(Int))]),
    onnx("Tile", 6, &[("input", Data), ("repeats", Aside)], &[]),
    onnx("Slice", 10, SLICE, &[]),
    giving(Outputs::All, until(12, onnx("Split", 2, INPUT, &[("axis", Used(Int)), ("split", Used(Ints))]))),
    giving(
        Outputs::All,
        onnx("Split", 13, &[("input", Data), ("split", Aside)], &[("axis", Used(Int)), ("num_outputs", Used(Int))]),
    ),
    onnx("Concat", 4, &[("inputs", Each)], &[("axis", Used(Int))]),
    onnx("Gather", 1, &[("data", Data), ("indices", Data)], &[("axis", Used(Int))]),
    onnx("GatherND", 11, &[("data", Data), ("indices", Data)], &[("batch_dims", Used(Int))]),
    onnx("Where", 9, &[("condition", Data), ("X", Data), ("Y", Data)], &[]),
    onnx("IsNaN", 9, X, &[]),
    onnx(
        "Constant",
        1,
        &[],
        &[
            ("value", Used(Tensor)),
            ("value_float", Used(Float)),
            ("value_floats", Used(Floats)),
            ("value_int", Used(Int)),
            ("value_ints", Used(Ints)),
            ("value_string", Refused),
            ("value_strings", Refused),
            ("sparse_value", Refused),
        ],
    ),
    // Products and what their weights are stored as.
    onnx("MatMul", 1, AB, &[]),
    onnx(
        "Gemm",
        7,
        &[("A", Data), ("B", Data), ("C", Data)],
        &[("alpha", Used(Float)), ("beta", Used(Float)), ("transA", Used(Int)), ("transB", Used(Int))],
    ),
    onnx("Einsum", 12, &[("Inputs", Each)], &[("equation", Used(Text))]),
    onnx("MatMulInteger", 10, &[("A", Data), ("B", Data), ("a_zero_point", Data), ("b_zero_point", Data)], &[]),
    giving(Outputs::All, onnx("DynamicQuantizeLinear", 11, &[("x", Data)], &[])),
    onnx("DequantizeLinear", 10, QUANTISED, &[("axis", Used(Int)), ("block_size", Used(Int)), ("output_dtype", FLOATS_OUT)]),
    contrib(
        "MatMulNBits",
        &[("A", Data), ("B", Data), ("scales", Data), ("zero_points", Data), ("g_idx", Data), ("bias", Data)],
        &[
            ("N", Used(Int)),
            ("K", Used(Int)),
            ("bits", Used(Int)),
            ("block_size", Used(Int)),
            // In what precision the products may be computed at least; the caller chooses that here.
            ("accuracy_level", Neutral(Values::Any(Int))),
            ("weight_prepacked", Used(Int)),
        ],
    ),
    contrib(
        "GatherBlockQuantized",
        &[("data", Data), ("indices", Data), ("scales", Data), ("zero_points", Data)],
        &[("bits", Used(Int)), ("block_size", Used(Int)), ("gather_axis", Used(Int)), ("quantize_axis", Used(Int))],
    ),
    contrib(
        "FusedMatMul",
        AB,
        &[
            ("alpha", Used(Float)),
            ("transA", Used(Int)),
            ("transB", Used(Int)),
            ("transBatchA", Used(Int)),
            ("transBatchB", Used(Int)),
        ],
    ),
    contrib(
        "MatMulIntegerToFloat",
        &[
            ("A", Data),
            ("B", Data),
            ("a_scale", Data),
            ("b_scale", Data),
            ("a_zero_point", Data),
            ("b_zero_point", Data),
            ("bias", Data),
        ],
        &[],
    ),
    contrib("DynamicQuantizeMatMul", &[("A", Data), ("B", Data), ("b_scale", Data), ("b_zero_point", Data), ("bias", Data)], &[]),
    // Norms.
    onnx("SimplifiedLayerNormalization", 1, SCALED_NORM, NORM),
    onnx("RMSNormalization", 23, SCALED_NORM, NORM),
    giving(
        Outputs::At(&[0, 3]),
        contrib(
            "SkipSimplifiedLayerNormalization",
            &[("input", Data), ("skip", Data), ("gamma", Data), ("bias", Data)],
            &[("epsilon", Used(Float))],
        ),
    ),
    until(17, onnx("ReduceMean", 1, DATA, &[("axes", Used(Ints)), ("keepdims", Used(Int))])),
    onnx("ReduceMean", 18, AXES, &[("keepdims", Used(Int)), ("noop_with_empty_axes", Used(Int))]),
    // Attention.
    onnx("Softmax", 1, INPUT, &[("axis", Used(Int))]),
    onnx("Attention", 23, ATTENTION, ATTENTION_ATTRIBUTES),
    onnx("RotaryEmbedding", 23, &[("X", Data), ("cos_cache", Data), ("sin_cache", Data), ("position_ids", Aside)], &ROTARY),
    contrib(
        "RotaryEmbedding",
        &[("input", Data), ("position_ids", Aside), ("cos_cache", Data), ("sin_cache", Data)],
        &[ROTARY[0], ROTARY[1], ROTARY[2], ("is_packed_batching", WHOLE), ("scale", Used(Float))],
    ),
    contrib(
        "GroupQueryAttention",
        &[
            ("query", Data),
            ("key", Data),
            ("value", Data),
            ("past_key", Data),
            ("past_value", Data),
            ("seqlens_k", Aside),
            ("total_sequence_length", Aside),
            ("cos_cache", Data),
            ("sin_cache", Data),
            ("position_ids", Aside),
            ("attention_bias", Aside),
            ("head_sink", Data),
            ("k_scale", Role::Refused),
            ("v_scale", Role::Refused),
            ("q_norm_weight", Data),
            ("k_norm_weight", Data),
            ("query_seqlens", Role::Refused),
        ],
        &[
            ("num_heads", Used(Int)),
            ("kv_num_heads", Used(Int)),
            ("scale", Used(Float)),
            ("softcap", Used(Float)),
            ("local_window_size", Used(Int)),
            ("do_rotary", Used(Int)),
            ("rotary_interleaved", Used(Int)),
            ("smooth_softmax", Used(Int)),
            ("causal", Neutral(Values::Ints(&[1]))),
            ("qk_norm_epsilon", Used(Float)),
            ("q_norm_epsilon", Refused),
            ("k_norm_epsilon", Refused),
            ("k_quant_type", Neutral(Values::Texts(&["NONE"]))),
            ("v_quant_type", Neutral(Values::Texts(&["NONE"]))),
            ("kv_cache_bit_width", WHOLE),
            // How long past and present are is the runtime's affair.
            ("sliding_window_cache", Neutral(Values::Any(Int))),
            ("qk_output", Neutral(Values::Any(Int))),
        ],
    ),
    // Elementwise operators, and a norm along the row.
    tract(onnx("Abs", 6, X, &[])),
    tract(onnx("Add", 7, AB, &[])),
    tract(onnx("Ceil", 6, X, &[])),
    tract_but_nan(until(10, onnx("Clip", 6, INPUT, &[("min", Used(Float)), ("max", Used(Float))]))),
    tract_but_nan(onnx("Clip", 11, &[("input", Data), ("min", Scalar), ("max", Scalar)], &[])),
    tract(onnx("Cos", 7, INPUT, &[])),
    tract(onnx("Div", 7, AB, &[])),
    tract(onnx("Elu", 6, X, &[("alpha", Used(Float))])),
    tract(onnx("Erf", 9, INPUT, &[])),
    tract(onnx("Exp", 6, INPUT, &[])),
    tract(onnx("Floor", 6, X, &[])),
    tract(onnx("Gelu", 20, X, &[("approximate", Used(Text))])),
    tract_but_nan(onnx("HardSigmoid", 6, X, &[("alpha", Used(Float)), ("beta", Used(Float))])),
    tract(onnx("HardSwish", 14, X, &[])),
    tract(onnx(
        "LayerNormalization",
        1,
        &[("X", Data), ("Scale", Row), ("B", Row)],
        &[("axis", Neutral(Values::Ints(&[-1, 2]))), ("epsilon", Used(Float)), STASH],
    )),
    tract(onnx("LeakyRelu", 6, X, &[("alpha", Used(Float))])),
    tract(onnx("Log", 6, INPUT, &[])),
    tract_but_nan(onnx("Max", 8, &[("data_0", Each)], &[])),
    tract_but_nan(onnx("Min", 8, &[("data_0", Each)], &[])),
    tract(onnx("Mul", 7, AB, &[])),
    tract(onnx("Neg", 6, X, &[])),
    tract(onnx("Pow", 7, &[("X", Data), ("Y", Data)], &[])),
    tract(onnx("Reciprocal", 6, X, &[])),
    tract_but_nan(onnx("Relu", 6, X, &[])),
    tract_but_nan(onnx("Sigmoid", 6, X, &[])),
    tract(onnx("Sin", 7, INPUT, &[])),
    tract(onnx("Sqrt", 6, X, &[])),
    tract(onnx("Sub", 7, AB, &[])),
    onnx("Swish", 24, X, &[("alpha", Used(Float))]),
    tract_but_nan(onnx("Tanh", 6, INPUT, &[])),
    tract(contrib("FastGelu", &[("X", Data), ("bias", Row)], &[])),
    tract(contrib("Gelu", X, &[])),
    tract(contrib("QuickGelu", X, &[("alpha", Used(Float))])),
];

/// The entry of an operator in a version of its domain's operator set.
pub(crate) fn operator(domain: &str, name: &str, version: i64) -> Option<&'static Operator> {
    let of_name = OPERATORS.iter().filter(|o| o.name == name && o.domain == domain);
    of_name.into_iter().find(|o| (o.versions.0..=o.versions.1).contains(&version))
}

/// Whether tract runs operators of that name where no pattern fits.
pub(crate) fn is_left_to_tract(name: &str) -> bool {
    OPERATORS.iter().any(|operator| operator.left_to_tract && operator.name == name)
}

/// Whether tract makes a number of NaN in an operator of that name.
pub(crate) fn hides_nan(name: &str) -> bool {
    OPERATORS.iter().any(|operator| operator.hides_nan && operator.name == name)
}

/// Whether an operator of that name is in the table, in any domain and version.
pub(crate) fn is_known(name: &str) -> bool {
    OPERATORS.iter().any(|operator| operator.name == name)
}
