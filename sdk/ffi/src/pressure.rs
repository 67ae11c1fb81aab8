//! Reactions of an opened model to the device: memory pressure, throttling on heat, pausing.

use crate::model::Model;

/// How short of memory the system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum MemoryPressure {
    /// Others would need some: buffers and pooled prefixes are released, and the next answer is as fast as ever.
    Moderate,
    /// The process may be ended for it: prepacked weights are released too, and the next answer begins with prepacking them,
    /// unless they lie in [`OpenOptions::prepared_weights`](crate::OpenOptions::prepared_weights).
    Critical,
}

impl From<MemoryPressure> for kinglet::MemoryPressure {
    fn from(pressure: MemoryPressure) -> kinglet::MemoryPressure {
        match pressure {
            MemoryPressure::Moderate => kinglet::MemoryPressure::Moderate,
            MemoryPressure::Critical => kinglet::MemoryPressure::Critical,
        }
    }
}

/// How hot the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ThermalState {
    /// As it should be.
    Nominal,
    /// Warmer, without harm: nothing is done.
    Fair,
    /// Hot: answers take half of the time.
    Serious,
    /// Too hot: answers take a quarter of the time.
    Critical,
}

impl From<ThermalState> for kinglet::ThermalState {
    fn from(state: ThermalState) -> kinglet::ThermalState {
        match state {
            ThermalState::Nominal => kinglet::ThermalState::Nominal,
            ThermalState::Fair => kinglet::ThermalState::Fair,
            ThermalState::Serious => kinglet::ThermalState::Serious,
            ThermalState::Critical => kinglet::ThermalState::Critical,
        }
    }
}

/// None of these waits, fails, or changes an answer; of a closed model they do nothing.
#[uniffi::export]
impl Model {
    /// Gives memory back; during a step, as soon as it has ended.
    pub fn memory_pressure(&self, pressure: MemoryPressure) {
        if let Ok(model) = self.opened() {
            model.memory_pressure(pressure.into());
        }
    }

    /// Slows answers down while the device is hot. It holds until the next call.
    pub fn thermal(&self, state: ThermalState) {
        if let Ok(model) = self.opened() {
            model.thermal(state.into());
        }
    }

    /// Has answers wait, after the token in progress, until `resume`; cancelling one ends its waiting.
    pub fn pause(&self) {
        if let Ok(model) = self.opened() {
            model.pause();
        }
    }

    /// Ends a pause, however often it was asked for.
    pub fn resume(&self) {
        if let Ok(model) = self.opened() {
            model.resume();
        }
    }
}
