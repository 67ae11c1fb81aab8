internal import KingletFFI

/// How an answer is made.
public struct GenerationOptions: Sendable, Equatable {
    /// How tokens are chosen.
    public struct Sampling: Sendable, Equatable {
        /// Below 1 sharpens, above 1 flattens, 0 takes the most likely token.
        public var temperature: Float
        /// Keep so many of the most likely tokens; 0 keeps all.
        public var topK: Int
        /// Keep the fewest most likely tokens whose probabilities reach this sum; 1 keeps all.
        public var topP: Float
        /// Keep tokens at least this fraction as likely as the most likely one; 0 keeps all.
        public var minP: Float
        /// Makes tokens of prompt and answer less likely; 1 changes nothing.
        public var repetitionPenalty: Float
        /// The same seed and input give the same answer; `nil` draws one.
        public var seed: UInt64?

        /// The most likely token, always.
        public static let greedy = Sampling()

        /// The defaults, which take the most likely token, but for what is given.
        public init(
            temperature: Float = 0, topK: Int = 0, topP: Float = 1, minP: Float = 0, repetitionPenalty: Float = 1,
            seed: UInt64? = nil
        ) {
            self.temperature = temperature
            self.topK = topK
            self.topP = topP
            self.minP = minP
            self.repetitionPenalty = repetitionPenalty
            self.seed = seed
        }
    }

    /// Tokens that an answer has at most.
    public var maximumResponseTokens: Int
    /// How tokens are chosen; `nil` is as the model's makers recommend.
    public var sampling: Sampling?
    /// The answer ends before the first of these to appear.
    public var stop: [String]

    /// The defaults, 256 tokens at most, but for what is given.
    public init(maximumResponseTokens: Int = 256, sampling: Sampling? = nil, stop: [String] = []) {
        self.maximumResponseTokens = maximumResponseTokens
        self.sampling = sampling
        self.stop = stop
    }

    func native() throws -> KingletFFI.GenerationOptions {
        let sampling = try sampling.map { sampling in
            KingletFFI.Sampling(
                temperature: sampling.temperature, topK: try counted(sampling.topK, "topK"), topP: sampling.topP,
                minP: sampling.minP, repetitionPenalty: sampling.repetitionPenalty, seed: sampling.seed)
        }
        return KingletFFI.GenerationOptions(
            maxNewTokens: try counted(maximumResponseTokens, "maximumResponseTokens"), sampling: sampling, stop: stop)
    }
}
