internal import KingletFFI

/// How short of memory the system is.
public enum MemoryPressure: Sendable {
    /// Others would need some: buffers and pooled prefixes are released, and the next answer is as fast as ever.
    case moderate
    /// The process may be ended for it: prepacked weights are released too, and the next answer begins with prepacking them,
    /// unless they lie in ``OpenOptions/preparedWeights``.
    case critical

    var native: KingletFFI.MemoryPressure {
        switch self {
        case .moderate: .moderate
        case .critical: .critical
        }
    }
}

/// How hot the device is, in the words of `ProcessInfo.ThermalState`.
public enum ThermalState: Sendable {
    /// As it should be.
    case nominal
    /// Warmer, without harm: nothing is done.
    case fair
    /// Hot: answers take half of the time, and the device rests for the other half.
    case serious
    /// Too hot: answers take a quarter of the time.
    case critical

    var native: KingletFFI.ThermalState {
        switch self {
        case .nominal: .nominal
        case .fair: .fair
        case .serious: .serious
        case .critical: .critical
        }
    }
}
