//! Every operator that is known, with the function that computes it.

use crate::ReferenceError;
use crate::call::{Call, Outputs, unsupported};
use crate::elementwise::{self as each, larger, smaller};
use crate::reduce::{Reduction, reduce};
use crate::scope::is_onnx;
use crate::{activation, arrange, attention, cast, constant, einsum, gather, group_query, norm, product};
use crate::{quantised, reduce as fold, rotary, shape};
use kinglet_bundle::onnx::Node;

/// One operator in one domain.
pub(crate) struct Operator {
    domain: &'static str,
    op_type: &'static str,
    /// Operands at most.
    inputs: usize,
    /// The attributes that are used, or known to change nothing.
    attributes: &'static [&'static str],
    /// Computes the outputs.
    pub(crate) run: fn(&Call) -> Outputs,
}

const ONNX: &str = "";
const MICROSOFT: &str = "com.microsoft";
const MANY: usize = usize::MAX;

const fn op(op_type: &'static str, inputs: usize, attributes: &'static [&'static str], run: fn(&Call) -> Outputs) -> Operator {
    Operator { domain: ONNX, op_type, inputs, attributes, run }
}

const fn ms(op_type: &'static str, inputs: usize, attributes: &'static [&'static str], run: fn(&Call) -> Outputs) -> Operator {
    Operator { domain: MICROSOFT, op_type, inputs, attributes, run }
}

const ATTENTION: &[&str] =
    &["is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "scale", "softcap", "softmax_precision"];
const GROUP_QUERY: &[&str] = &[
    "num_heads",
    "kv_num_heads",
    "scale",
    "softcap",
    "causal",
    "local_window_size",
    "sliding_window_cache",
    "smooth_softmax",
    "do_rotary",
    "rotary_interleaved",
    "qk_norm_epsilon",
    "q_norm_epsilon",
    "k_norm_epsilon",
    "qk_output",
    "kv_cache_bit_width",
    "k_quant_type",
    "v_quant_type",
];
const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];

#[rustfmt::skip]
const OPERATORS: &[Operator] = &[
    // arithmetic
    op("Add", 2, &[], |c| each::binary(c, |x, y| x + y, i64::wrapping_add)),
    op("Sub", 2, &[], |c| each::binary(c, |x, y| x - y, i64::wrapping_sub)),
    op("Mul", 2, &[], |c| each::binary(c, |x, y| x * y, i64::wrapping_mul)),
    op("Div", 2, &[], each::div),
    op("Mod", 2, &["fmod"], each::modulo),
    op("Pow", 2, &[], each::pow),
    op("Sum", MANY, &[], |c| each::variadic(c, |x, y| x + y, i64::wrapping_add)),
    op("Mean", MANY, &[], each::mean),
    op("Max", MANY, &[], |c| each::variadic(c, larger, i64::max)),
    op("Min", MANY, &[], |c| each::variadic(c, smaller, i64::min)),
    op("Clip", 3, &["min", "max"], each::clip),
    op("Abs", 1, &[], |c| each::unary_number(c, f64::abs, i64::wrapping_abs)),
    op("Neg", 1, &[], |c| each::unary_number(c, |x| -x, i64::wrapping_neg)),
    op("Sign", 1, &[], |c| each::unary_number(c, each::sign, i64::signum)),
    op("Reciprocal", 1, &[], |c| each::unary(c, f64::recip)),
    op("Sqrt", 1, &[], |c| each::unary(c, f64::sqrt)),
    op("Exp", 1, &[], |c| each::unary(c, f64::exp)),
    op("Log", 1, &[], |c| each::unary(c, f64::ln)),
    op("Floor", 1, &[], |c| each::unary(c, f64::floor)),
    op("Ceil", 1, &[], |c| each::unary(c, f64::ceil)),
    op("Round", 1, &[], |c| each::unary(c, f64::round_ties_even)),
    op("Sin", 1, &[], |c| each::unary(c, f64::sin)),
    op("Cos", 1, &[], |c| each::unary(c, f64::cos)),
    op("Tan", 1, &[], |c| each::unary(c, f64::tan)),
    op("Asin", 1, &[], |c| each::unary(c, f64::asin)),
    op("Acos", 1, &[], |c| each::unary(c, f64::acos)),
    op("Atan", 1, &[], |c| each::unary(c, f64::atan)),
    op("Sinh", 1, &[], |c| each::unary(c, f64::sinh)),
    op("Cosh", 1, &[], |c| each::unary(c, f64::cosh)),
    op("Erf", 1, &[], |c| each::unary(c, libm::erf)),
    // comparison and logic
    op("Equal", 2, &[], each::equal),
    op("Greater", 2, &[], |c| each::compare(c, |x, y| x > y, |x, y| x > y)),
    op("GreaterOrEqual", 2, &[], |c| each::compare(c, |x, y| x >= y, |x, y| x >= y)),
    op("Less", 2, &[], |c| each::compare(c, |x, y| x < y, |x, y| x < y)),
    op("LessOrEqual", 2, &[], |c| each::compare(c, |x, y| x <= y, |x, y| x <= y)),
    op("And", 2, &[], |c| each::logic(c, |x, y| x && y)),
    op("Or", 2, &[], |c| each::logic(c, |x, y| x || y)),
    op("Xor", 2, &[], |c| each::logic(c, |x, y| x != y)),
    op("Not", 1, &[], each::not),
    op("IsNaN", 1, &[], |c| each::test(c, f32::is_nan)),
    op("IsInf", 1, &["detect_negative", "detect_positive"], each::is_inf),
    op("Where", 3, &[], each::choose),
    op("BitwiseAnd", 2, &[], |c| each::bitwise(c, |x, y| x & y)),
    op("BitwiseOr", 2, &[], |c| each::bitwise(c, |x, y| x | y)),
    op("BitwiseXor", 2, &[], |c| each::bitwise(c, |x, y| x ^ y)),
    op("BitwiseNot", 1, &[], |c| { c.ints(0)?; each::unary_number(c, |x| x, |x| !x) }),
    op("BitShift", 2, &["direction"], each::bit_shift),
    op("If", 1, &["then_branch", "else_branch"], |c| Err(c.unsupported("it is a branch"))),
    // activations
    op("Sigmoid", 1, &[], |c| each::unary(c, activation::sigmoid)),
    op("Tanh", 1, &[], |c| each::unary(c, f64::tanh)),
    op("Relu", 1, &[], activation::relu),
    op("PRelu", 2, &[], activation::prelu),
    op("LeakyRelu", 1, &["alpha"], |c| activation::with_alpha(c, 0.01, |x, a| if x < 0.0 { a * x } else { x })),
    op("Elu", 1, &["alpha"], |c| activation::with_alpha(c, 1.0, |x, a| if x < 0.0 { a * x.exp_m1() } else { x })),
    op("Swish", 1, &["alpha"], |c| activation::swish(c, 1.0)),
    op("HardSigmoid", 1, &["alpha", "beta"], activation::hard_sigmoid),
    op("HardSwish", 1, &[], |c| each::unary(c, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0))),
    op("Mish", 1, &[], |c| each::unary(c, |x| x * activation::softplus(x).tanh())),
    op("Softplus", 1, &[], |c| each::unary(c, activation::softplus)),
    op("Softsign", 1, &[], |c| each::unary(c, |x| x / (1.0 + x.abs()))),
    op("Gelu", 1, &["approximate"], activation::gelu),
    op("Dropout", 3, &["seed", "ratio"], activation::dropout),
    ms("Gelu", 1, &[], |c| each::unary(c, activation::gelu_exact)),
    ms("QuickGelu", 1, &["alpha"], |c| activation::swish(c, 1.702)),
    ms("FastGelu", 2, &[], |c| activation::biased(c, activation::gelu_tanh)),
    ms("BiasGelu", 2, &[], |c| { c.input(1)?; activation::biased(c, activation::gelu_exact) }),
    // types and constants
    op("Cast", 1, &["to", "saturate", "round_mode"], cast::cast),
    op("CastLike", 2, &["saturate", "round_mode"], cast::cast_like),
    op("Constant", 0, &["value", "value_int", "value_ints", "value_float", "value_floats"], constant::constant),
    op("ConstantOfShape", 1, &["value"], constant::constant_of_shape),
    op("Range", 3, &[], constant::range),
    op("EyeLike", 1, &["dtype", "k"], constant::eye_like),
    // shapes
    op("Shape", 1, &["start", "end"], shape::shape),
    op("Size", 1, &[], shape::size),
    op("Identity", 1, &[], shape::identity),
    op("Reshape", 2, &["shape", "allowzero"], shape::reshape),
    op("Flatten", 1, &["axis"], shape::flatten),
    op("Squeeze", 2, &["axes"], shape::squeeze),
    op("Unsqueeze", 2, &["axes"], shape::unsqueeze),
    // elements moved
    op("Transpose", 1, &["perm"], arrange::transpose),
    op("Expand", 2, &[], arrange::expand),
    op("Tile", 2, &[], arrange::tile),
    op("Concat", MANY, &["axis"], arrange::concat),
    op("Split", 2, &["axis", "split", "num_outputs"], arrange::split),
    op("Slice", 5, &["starts", "ends", "axes"], arrange::slice),
    op("Pad", 4, &["pads", "mode", "value"], arrange::pad),
    op("Trilu", 2, &["upper"], arrange::trilu),
    // elements by index
    op("Gather", 2, &["axis"], gather::gather),
    op("GatherElements", 2, &["axis"], gather::gather_elements),
    op("GatherND", 2, &["batch_dims"], gather::gather_nd),
    op("ScatterElements", 3, &["axis", "reduction"], gather::scatter_elements),
    op("ScatterND", 3, &["reduction"], gather::scatter_nd),
    op("TensorScatter", 3, &["axis", "mode"], gather::tensor_scatter),
    op("OneHot", 3, &["axis"], gather::one_hot),
    op("NonZero", 1, &[], gather::non_zero),
    // reductions
    op("ReduceSum", 2, REDUCE, |c| reduce(c, Reduction::Sum)),
    op("ReduceMean", 2, REDUCE, |c| reduce(c, Reduction::Mean)),
    op("ReduceProd", 2, REDUCE, |c| reduce(c, Reduction::Prod)),
    op("ReduceMax", 2, REDUCE, |c| reduce(c, Reduction::Max)),
    op("ReduceMin", 2, REDUCE, |c| reduce(c, Reduction::Min)),
    op("ReduceL1", 2, REDUCE, |c| reduce(c, Reduction::L1)),
    op("ReduceL2", 2, REDUCE, |c| reduce(c, Reduction::L2)),
    op("ReduceSumSquare", 2, REDUCE, |c| reduce(c, Reduction::SumSquare)),
    op("ReduceLogSum", 2, REDUCE, |c| reduce(c, Reduction::LogSum)),
    op("ReduceLogSumExp", 2, REDUCE, |c| reduce(c, Reduction::LogSumExp)),
    op("Softmax", 1, &["axis"], |c| fold::softmax(c, false)),
    op("LogSoftmax", 1, &["axis"], |c| fold::softmax(c, true)),
    op("CumSum", 2, &["exclusive", "reverse"], fold::cum_sum),
    op("ArgMax", 1, &["axis", "keepdims", "select_last_index"], |c| fold::arg_extreme(c, true)),
    op("ArgMin", 1, &["axis", "keepdims", "select_last_index"], |c| fold::arg_extreme(c, false)),
    op("TopK", 2, &["axis", "largest", "sorted"], fold::top_k),
    // norms
    op("LayerNormalization", 3, &["axis", "epsilon", "stash_type"], norm::layer),
    op("RMSNormalization", 2, &["axis", "epsilon", "stash_type"], norm::rms),
    op("SimplifiedLayerNormalization", 2, &["axis", "epsilon", "stash_type"], norm::rms),
    op("LpNormalization", 1, &["axis", "p"], norm::lp),
    ms("SimplifiedLayerNormalization", 2, &["axis", "epsilon", "stash_type"], norm::rms),
    ms("SkipLayerNormalization", 5, &["epsilon"], |c| norm::skip(c, true)),
    ms("SkipSimplifiedLayerNormalization", 4, &["epsilon"], |c| norm::skip(c, false)),
    // products
    op("MatMul", 2, &[], product::matmul),
    op("Gemm", 3, &["alpha", "beta", "transA", "transB"], product::gemm),
    op("MatMulInteger", 4, &[], product::matmul_integer),
    op("Einsum", MANY, &["equation"], einsum::einsum),
    ms("FusedMatMul", 2, &["alpha", "transA", "transB", "transBatchA", "transBatchB"], product::fused_matmul),
    // small integers
    op("QuantizeLinear", 3, &["axis", "block_size", "output_dtype", "precision", "saturate"], quantised::quantize),
    op("DequantizeLinear", 3, &["axis", "block_size", "output_dtype"], quantised::dequantize),
    op("DynamicQuantizeLinear", 1, &[], quantised::dynamic_quantize),
    ms("QuantizeLinear", 3, &["axis"], quantised::quantize),
    ms("DequantizeLinear", 3, &["axis"], quantised::dequantize),
    ms("MatMulNBits", 6, &["K", "N", "bits", "block_size", "accuracy_level", "weight_prepacked"], quantised::matmul_nbits),
    ms("GatherBlockQuantized", 4, &["bits", "block_size", "gather_axis", "quantize_axis"], quantised::gather_block_quantized),
    // attention
    op("Attention", 7, ATTENTION, attention::attention),
    op("RotaryEmbedding", 4, &["interleaved", "num_heads", "rotary_embedding_dim"], rotary::rotary),
    ms("RotaryEmbedding", 4, &["interleaved", "num_heads", "rotary_embedding_dim", "is_packed_batching", "scale"], rotary::rotary_microsoft),
    ms("MultiHeadAttention", 10, &["num_heads", "scale", "unidirectional", "mask_filter_value"], attention::multi_head),
    ms("GroupQueryAttention", 17, GROUP_QUERY, group_query::group_query),
];

/// The operator of a node, where every input and every attribute that the node has is one that the operator knows.
pub(crate) fn find(node: &Node) -> Result<&'static Operator, ReferenceError> {
    let domain = if is_onnx(&node.domain) { ONNX } else { &node.domain };
    let known = OPERATORS.iter().find(|operator| operator.op_type == node.op_type && operator.domain == domain);
    let operator = known.ok_or_else(|| unsupported(node, "the operator is not known"))?;
    if let Some(attribute) = node.attributes.iter().find(|attribute| !operator.attributes.contains(&attribute.name.as_str())) {
        return Err(unsupported(node, format!("the attribute `{}` is not known", attribute.name)));
    }
    if let Some(name) = node.inputs.iter().skip(operator.inputs).find(|name| !name.is_empty()) {
        return Err(unsupported(node, format!("`{name}` is an input more than are known")));
    }
    Ok(operator)
}
