//! Execution providers of ONNX Runtime.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// An execution provider of ONNX Runtime. Which of them a library has was decided when it was built;
/// [`Engine::look`](crate::Engine::look) tells. A provider runs the parts of a model that it knows, and the CPU the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
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

impl Provider {
    /// All of them.
    pub const ALL: [Provider; 5] = [Provider::Cpu, Provider::CoreMl, Provider::Nnapi, Provider::Qnn, Provider::Xnnpack];

    /// Its name, as in `--provider`.
    pub fn name(self) -> &'static str {
        match self {
            Provider::Cpu => "cpu",
            Provider::CoreMl => "coreml",
            Provider::Nnapi => "nnapi",
            Provider::Qnn => "qnn",
            Provider::Xnnpack => "xnnpack",
        }
    }

    /// As the engine calls it.
    #[cfg(feature = "ort")]
    pub(crate) fn of_engine(self) -> kinglet_ort::Provider {
        match self {
            Provider::Cpu => kinglet_ort::Provider::Cpu,
            Provider::CoreMl => kinglet_ort::Provider::CoreMl,
            Provider::Nnapi => kinglet_ort::Provider::Nnapi,
            Provider::Qnn => kinglet_ort::Provider::Qnn,
            Provider::Xnnpack => kinglet_ort::Provider::Xnnpack,
        }
    }
}

impl Display for Provider {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for provider in Provider::ALL {
            assert_eq!(serde_json::to_value(provider).unwrap(), provider.name());
            #[cfg(feature = "ort")]
            assert_eq!(provider.of_engine().name(), provider.name());
        }
    }
}
