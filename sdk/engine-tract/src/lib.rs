//! ONNX graphs rewritten onto our kernels and run by tract
