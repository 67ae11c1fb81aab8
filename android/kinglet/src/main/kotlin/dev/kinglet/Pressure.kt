package dev.kinglet

import dev.kinglet.ffi.MemoryPressure as NativePressure
import dev.kinglet.ffi.ThermalState as NativeThermalState

/** How short of memory the system is. */
public enum class MemoryPressure {
    /** Others would need some: buffers and pooled prefixes are released, and the next answer is as fast as ever. */
    MODERATE,

    /**
     * The process may be ended for it: prepacked weights are released too, and the next answer begins with prepacking them, unless
     * they lie in [OpenOptions.preparedWeights].
     */
    CRITICAL,
    ;

    internal fun native() = if (this == MODERATE) NativePressure.MODERATE else NativePressure.CRITICAL
}

/** How hot the device is. */
public enum class ThermalState {
    /** As it should be. */
    NOMINAL,

    /** Warmer, without harm: nothing is done. */
    FAIR,

    /** Hot: answers take half of the time, and the device rests for the other half. */
    SERIOUS,

    /** Too hot: answers take a quarter of the time. */
    CRITICAL,
    ;

    internal fun native() =
        when (this) {
            NOMINAL -> NativeThermalState.NOMINAL
            FAIR -> NativeThermalState.FAIR
            SERIOUS -> NativeThermalState.SERIOUS
            CRITICAL -> NativeThermalState.CRITICAL
        }
}
