//! Reactions of an opened model to the device: memory pressure, throttling on heat, pausing.

use crate::Model;
use kinglet_generate::Trim;

/// How short of memory the system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryPressure {
    /// Others would need some: buffers and pooled prefixes are released, and the next answer is as fast as ever.
    Moderate,
    /// The process may be ended for it: prepacked weights are released too, and the next answer begins with prepacking them
    /// again, unless they were [prepared](crate::Builder::prepared_weights).
    Critical,
}

/// How hot the device is, in the words of Apple's `ProcessInfo.ThermalState`; Android's `PowerManager` has eight states for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ThermalState {
    /// As it should be.
    #[default]
    Nominal,
    /// Warmer, without harm: nothing is done.
    Fair,
    /// Hot: steps use half of the time, and rest for the other half.
    Serious,
    /// Too hot: steps use a quarter of the time.
    Critical,
}

impl ThermalState {
    /// The share of the time that steps may use.
    fn share(self) -> f64 {
        match self {
            ThermalState::Nominal | ThermalState::Fair => 1.0,
            ThermalState::Serious => 0.5,
            ThermalState::Critical => 0.25,
        }
    }
}

/// None of these waits for an answer in progress, fails, or changes what is answered. They have no effect on the system's model.
impl Model {
    /// Gives memory back; during a step, as soon as it has ended. Conversations keep what they hold.
    pub fn memory_pressure(&self, pressure: MemoryPressure) {
        let Ok(local) = self.local() else { return };
        local.generator.trim(match pressure {
            MemoryPressure::Moderate => Trim::Buffers,
            MemoryPressure::Critical => Trim::Weights,
        });
    }

    /// Slows answers down while the device is hot, and lets them run again when it is not. It holds until the next call.
    pub fn thermal(&self, state: ThermalState) {
        if let Ok(local) = self.local() {
            local.generator.set_share(state.share());
        }
    }

    /// Has answers wait, after the token in progress, until [`resume`](Self::resume): for an application that goes to the
    /// background. Cancelling an answer ends its waiting.
    pub fn pause(&self) {
        if let Ok(local) = self.local() {
            local.generator.pause();
        }
    }

    /// Ends a pause, however often it was asked for.
    pub fn resume(&self) {
        if let Ok(local) = self.local() {
            local.generator.resume();
        }
    }
}
