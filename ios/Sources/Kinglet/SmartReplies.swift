internal import KingletFFI

/// A side of a conversation.
public enum Speaker: Sendable, Equatable {
    /// The side that is served; between friends the one who begins.
    case customer
    /// The side that serves.
    case agent
}

/// A message between two sides.
public struct Turn: Sendable, Equatable {
    /// Who said it.
    public let speaker: Speaker
    /// Text of the message.
    public let text: String

    /// A message.
    public init(_ speaker: Speaker, _ text: String) {
        self.speaker = speaker
        self.text = text
    }
}

/// How replies are made and chosen; what is left out has the default of the task.
public struct ReplyOptions: Sendable, Equatable {
    /// Replies to show at most, 1 to 20; `nil` for 3.
    public var count: Int?
    /// Candidates that the model writes, 1 to 64; `nil` for 8.
    public var candidates: Int?
    /// Characters that a reply may have; `nil` for 160.
    public var maximumCharacters: Int?
    /// Temperature of sampling, 0 to 2; `nil` for 0.3.
    public var temperature: Float?
    /// The same seed gives the same replies; `nil` for 0.
    public var seed: UInt64?
    /// Replies to choose from; `nil` has the model write them.
    public var bank: [String]?
    /// Languages to answer in, as ISO 639-1 codes; `nil` for those that the model speaks.
    public var languages: [String]?

    /// The defaults, but for what is given.
    public init(
        count: Int? = nil, candidates: Int? = nil, maximumCharacters: Int? = nil, temperature: Float? = nil, seed: UInt64? = nil,
        bank: [String]? = nil, languages: [String]? = nil
    ) {
        self.count = count
        self.candidates = candidates
        self.maximumCharacters = maximumCharacters
        self.temperature = temperature
        self.seed = seed
        self.bank = bank
        self.languages = languages
    }

    func native() throws -> KingletFFI.ReplyOptions {
        KingletFFI.ReplyOptions(
            count: try count.map { try counted($0, "count") },
            candidates: try candidates.map { try counted($0, "candidates") },
            maxChars: try maximumCharacters.map { try counted($0, "maximumCharacters") },
            temperature: temperature, seed: seed, bank: bank, languages: languages)
    }
}

/// Where a suggested reply comes from.
public enum ReplySource: Sendable, Equatable {
    /// A bank of replies.
    case bank
    /// The model wrote it.
    case model
}

/// A suggested reply.
public struct Reply: Sendable, Equatable {
    /// One line.
    public let text: String
    /// How well it fits, higher is better; comparable within one answer.
    public let score: Float
    /// Where it comes from.
    public let source: ReplySource
}

/// Suggested replies, or why there are none.
public enum SmartReplies: Sendable, Equatable {
    /// Best first; at least one.
    case suggested([Reply])
    /// There is nothing to answer, or nothing good enough to say; why, in a sentence.
    case none(explanation: String)
    /// The conversation speaks of a crisis, of this kind: a person should answer.
    case unsafe(kind: String, explanation: String)
    /// The conversation is in a language, by its ISO 639-1 code, that the model does not speak.
    case unsupportedLanguage(String, explanation: String)

    /// The replies, best first; empty where there are none.
    public var replies: [Reply] {
        if case .suggested(let replies) = self { replies } else { [] }
    }

    init(_ answer: KingletFFI.SmartReplies) {
        let (reason, explanation) = (answer.reason ?? "", answer.explanation ?? "")
        self =
            switch answer.status {
            case .ok: .suggested(answer.replies.map { Reply(text: $0.text, score: $0.score, source: $0.source == .bank ? .bank : .model) })
            case .unsafe: .unsafe(kind: reason, explanation: explanation)
            case .unsupportedLanguage: .unsupportedLanguage(reason, explanation: explanation)
            case .noReply: .none(explanation: explanation)
            }
    }
}

/// How well a given reply fits.
public struct ReplyScore: Sendable, Equatable {
    /// Ranking score, higher is better; comparable between candidates of one model only.
    public let score: Float
    /// The natural logarithm of its probability after the conversation.
    public let logProbability: Double

    init(_ score: KingletFFI.ReplyScore) {
        self.score = score.score
        logProbability = score.logprob
    }
}

extension Talk {
    init(_ conversation: [Turn], instructions: String?) {
        self.init(
            turns: conversation.map { TalkTurn(byAgent: $0.speaker == .agent, text: $0.text) }, instructions: instructions)
    }
}
