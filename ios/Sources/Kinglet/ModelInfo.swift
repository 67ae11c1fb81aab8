internal import KingletFFI

/// Description of a model: metadata, engine and memory use.
public struct ModelInfo: Sendable, Equatable {
    /// Bytes that a model takes.
    public struct Memory: Sendable, Equatable {
        /// Weights: file pages that the system may evict, or resident ones.
        public let weights: Int
        /// Keys and values when all conversations are full.
        public let keysAndValues: Int
        /// Activations and scratch.
        public let scratch: Int
        /// All of it.
        public let total: Int
    }

    /// The folder's name.
    public let name: String
    /// The family, such as `llama`.
    public let family: String
    /// Parameters, whatever they are packed into.
    public let parameters: Int
    /// How the weights are stored, such as `int4`, where that is known.
    public let precision: String?
    /// Bytes of the files that hold the weights.
    public let fileBytes: Int
    /// The engine that runs it; `nil` where it does not run here.
    public let engine: String?
    /// Positions (tokens) that one conversation may hold.
    public let context: Int?
    /// Memory use; `nil` where it does not run here.
    public let memory: Memory?
    /// Why it does not run here, in one sentence.
    public let unsupported: String?
    /// All of the report, as `kinglet inspect --json` writes it.
    public let json: String

    init(_ info: KingletFFI.ModelInfo) {
        name = info.name
        family = info.family
        parameters = Int(clamping: info.parameters)
        precision = info.precision
        fileBytes = Int(clamping: info.fileBytes)
        engine = info.engine
        context = info.context.map { Int(clamping: $0) }
        memory = info.memory.map {
            Memory(
                weights: Int(clamping: $0.weights), keysAndValues: Int(clamping: $0.kv), scratch: Int(clamping: $0.scratch),
                total: Int(clamping: $0.total))
        }
        unsupported = info.unsupported
        json = info.json
    }
}
