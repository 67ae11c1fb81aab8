//! A plain interpreter of ONNX graphs: each operator as the specification words it, in loops over float64-accumulated
//! float32, without fusing, tiling or threads.
//!
//! Knows: the ONNX operators that decoders are exported as, and the contrib operators of ONNX Runtime among them. Must not
//! know: the kernels, the engines, tract, text.
//!
//! Reference for faster implementations: engines evaluate the weightless parts of a graph with it before they replace them, and
//! tests hold whole models against it.
#![forbid(unsafe_code)]

mod activation;
mod arrange;
mod attention;
mod budget;
mod call;
mod cast;
mod constant;
mod decoder;
mod einsum;
mod elementwise;
mod error;
mod evaluate;
mod gather;
mod group_query;
mod heads;
mod index;
mod norm;
mod operators;
mod product;
mod quantised;
mod reduce;
mod rotary;
mod scope;
mod shape;
mod tensor;
mod value;

pub use decoder::decoder_inputs;
pub use error::ReferenceError;
pub use evaluate::{Limits, evaluate, evaluate_counting};
pub use tensor::{Data, Tensor};
