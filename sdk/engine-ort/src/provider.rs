//! Execution providers: what else than ONNX Runtime's own code for the CPU may run parts of a graph.
//!
//! Which ones there are was decided when the library was built. One that it has may still refuse the machine, which it says when
//! it is registered, and takes the nodes that it knows; the others stay with the CPU.

use crate::failure::{NAME, backend_error};
use crate::library::{Library, LibraryError, Search, load};
use kinglet_engine::EngineError;
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::session::builder::SessionBuilder;
use std::num::NonZeroUsize;

/// An execution provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Provider {
    /// ONNX Runtime's own code for the CPU, which every library has.
    #[default]
    Cpu,
    /// Core ML of Apple's systems.
    CoreMl,
    /// The Neural Networks API of Android.
    Nnapi,
    /// Qualcomm's AI Engine: the neural processor of Snapdragon.
    Qnn,
    /// XNNPACK, kernels for the CPU.
    Xnnpack,
}

/// The library of QNN for the neural processor, which comes beside ONNX Runtime's.
const QNN_BACKEND: &str = if cfg!(windows) { "QnnHtp.dll" } else { "libQnnHtp.so" };

impl Provider {
    /// All that this crate can ask a library for.
    pub const ALL: [Provider; 5] = [Provider::Cpu, Provider::CoreMl, Provider::Nnapi, Provider::Qnn, Provider::Xnnpack];

    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Provider::Cpu => "cpu",
            Provider::CoreMl => "coreml",
            Provider::Nnapi => "nnapi",
            Provider::Qnn => "qnn",
            Provider::Xnnpack => "xnnpack",
        }
    }

    /// Whether the loaded library was built with it. A library that does not answer has none.
    fn is_built(self) -> bool {
        let built = match self {
            Provider::Cpu => Ok(true),
            Provider::CoreMl => ep::CoreML::is_available(),
            Provider::Nnapi => ep::NNAPI::is_available(),
            Provider::Qnn => ep::QNN::is_available(),
            Provider::Xnnpack => ep::XNNPACK::is_available(),
        };
        built.unwrap_or_else(|error| {
            log::debug!("ONNX Runtime does not say whether it has {}: {error}", self.name());
            false
        })
    }

    /// How it is registered; `None` for the CPU, which always is.
    fn registration(self, threads: usize) -> Option<ExecutionProviderDispatch> {
        let registration = match self {
            Provider::Cpu => return None,
            // The older format knows hardly an operator of a decoder.
            Provider::CoreMl => ep::CoreML::default().with_model_format(ep::coreml::ModelFormat::MLProgram).build(),
            // Its own code for the CPU is slower than ONNX Runtime's.
            Provider::Nnapi => ep::NNAPI::default().with_disable_cpu(true).build(),
            Provider::Qnn => ep::QNN::default().with_backend_path(QNN_BACKEND).build(),
            Provider::Xnnpack => {
                let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
                ep::XNNPACK::default().with_intra_op_num_threads(threads).build()
            }
        };
        Some(registration.error_on_failure())
    }

    /// Has the sessions of `builder` use it.
    ///
    /// # Errors
    /// Errors of the library.
    pub(crate) fn register(self, builder: SessionBuilder, threads: usize) -> ort::Result<SessionBuilder> {
        match self.registration(threads) {
            Some(registration) => Ok(builder.with_execution_providers([registration])?),
            None => Ok(builder),
        }
    }

    /// Makes sure, at the door, that the library was built with it and that it takes this machine.
    ///
    /// # Errors
    /// [`EngineError::NoProvider`] where not.
    pub(crate) fn check(
        self,
        library: &Library,
        builder: impl FnOnce() -> ort::Result<SessionBuilder>,
    ) -> Result<(), EngineError> {
        let refused = |reason: String| EngineError::NoProvider { engine: NAME, provider: self.name(), reason };
        if !self.is_built() {
            return Err(refused(self.not_built(library)));
        }
        if self != Provider::Cpu {
            let builder = builder().map_err(backend_error)?;
            self.register(builder, 1).map_err(|error| refused(format!("it refuses this machine: {}", error.message())))?;
        }
        Ok(())
    }

    fn not_built(self, library: &Library) -> String {
        let offered: Vec<&str> = offered().into_iter().map(Provider::name).collect();
        format!(
            "ONNX Runtime {} in {} was built without it and offers: {}; name a library that was built with it, or take one of these",
            library.version,
            library.path.display(),
            offered.join(", ")
        )
    }
}

/// The providers that the library was built with, the CPU first; loads it if none is loaded yet.
///
/// # Errors
/// [`LibraryError`] with all that was looked for.
pub fn providers(search: &Search) -> Result<Vec<Provider>, LibraryError> {
    load(search).map(|_| offered())
}

/// Those of the loaded library.
fn offered() -> Vec<Provider> {
    Provider::ALL.into_iter().filter(|provider| provider.is_built()).collect()
}
