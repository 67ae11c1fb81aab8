//! Quantised and float matrix products, attention, norms, rotary embedding, and the worker pool
