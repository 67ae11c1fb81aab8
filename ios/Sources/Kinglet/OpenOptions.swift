import Foundation
internal import KingletFFI

/// How a model is opened. Every part has a default.
public struct OpenOptions: Sendable, Equatable {
    /// Which engine runs models.
    public enum Engine: Sendable {
        /// The fastest by the record of a probe, else the first that runs the model.
        case auto
        /// The embedded one.
        case tract
        /// ONNX Runtime, where this build has it and its library is found.
        case onnxRuntime
    }

    /// Where quantised weights are read from.
    public enum Weights: Sendable {
        /// Packed where the device has room for that.
        case auto
        /// The mapped files: ready at once, and the system may take their memory back.
        case inPlace
        /// Memory of their own, prepacked before the first answer: faster.
        case packed
    }

    /// Threads to compute on; `nil` for what suits the device.
    public var threads: Int?
    /// Bytes that the model may take: weights, keys and values, scratch; `nil` for no limit.
    public var memoryBudget: Int?
    /// Positions (tokens) that one conversation may hold; `nil` for 2,048, or what the model was made for if that is less.
    public var context: Int?
    /// Full conversations that there is room for at once; `nil` for 8.
    public var maxSequences: Int?
    /// The engine.
    public var engine: Engine
    /// Where quantised weights are read from.
    public var weights: Weights
    /// Which of several graphs in the model's folder; `nil` for the smallest precision.
    public var variant: String?
    /// A folder for prefixes of prompts and saved conversations, such as one in the caches directory; `nil` to save nothing.
    public var prefixCache: URL?
    /// A folder for prepacked weights, which ``KingletModel/prepare(progress:)`` fills and later openings read; `nil` to prepack
    /// at every start. Exclude it from backups.
    public var preparedWeights: URL?

    /// The defaults, but for what is given.
    public init(
        threads: Int? = nil, memoryBudget: Int? = nil, context: Int? = nil, maxSequences: Int? = nil, engine: Engine = .auto,
        weights: Weights = .auto, variant: String? = nil, prefixCache: URL? = nil, preparedWeights: URL? = nil
    ) {
        self.threads = threads
        self.memoryBudget = memoryBudget
        self.context = context
        self.maxSequences = maxSequences
        self.engine = engine
        self.weights = weights
        self.variant = variant
        self.prefixCache = prefixCache
        self.preparedWeights = preparedWeights
    }

    func native() throws -> KingletFFI.OpenOptions {
        KingletFFI.OpenOptions(
            threads: try threads.map { try counted($0, "threads") },
            memoryBudget: try memoryBudget.map { try counted($0, "memoryBudget") },
            context: try context.map { try counted($0, "context") },
            maxSequences: try maxSequences.map { try counted($0, "maxSequences") },
            engine: engine.native,
            weights: weights.native,
            variant: variant,
            prefixCache: prefixCache?.path,
            preparedWeights: preparedWeights?.path)
    }
}

extension OpenOptions.Engine {
    fileprivate var native: EngineChoice {
        switch self {
        case .auto: .auto
        case .tract: .tract
        case .onnxRuntime: .onnxRuntime
        }
    }
}

extension OpenOptions.Weights {
    fileprivate var native: WeightsChoice {
        switch self {
        case .auto: .auto
        case .inPlace: .inPlace
        case .packed: .packed
        }
    }
}

/// A number that counts something, as the native side takes it.
func counted<N: FixedWidthInteger>(_ number: Int, _ what: String) throws -> N {
    guard let count = N(exactly: number) else {
        throw KingletError.invalidRequest("\(what) is \(number); it must be from 0 to \(N.max)")
    }
    return count
}
