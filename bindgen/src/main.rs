//! uniffi's generator of Kotlin, of the version that sdk/ffi is built with.

fn main() {
    uniffi::uniffi_bindgen_main()
}
