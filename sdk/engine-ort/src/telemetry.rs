//! ONNX Runtime is kept from calling home.
//!
//! Since version 1.29 the library's official builds send events to their maker: the first while an environment is being made,
//! before the call that switches them off can be made. The variable `ORT_DISABLE_TELEMETRY` is a full refusal where it is set
//! before: nothing is sent, and no file is written. Nothing leaves the machine by Kinglet, so it is set here.

#![allow(unsafe_code)]

/// The library's own variable.
const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Has the library, which is not loaded yet, send nothing.
pub(crate) fn disable() {
    if std::env::var_os(VARIABLE).is_some_and(|value| value == "1") {
        return;
    }
    // SAFETY: writing a variable is unsound only beside code outside of Rust's standard library that reads or writes the
    // environment at the same time. It happens once a process, before the library is loaded, so that no code of the library
    // runs. A host with other foreign code that does so sets the variable by itself before it starts, and this line is not
    // reached.
    unsafe { std::env::set_var(VARIABLE, "1") };
}
