//! uniffi's generator of Swift, of the version that sdk/ffi is built with.

fn main() {
    uniffi::uniffi_bindgen_swift()
}
