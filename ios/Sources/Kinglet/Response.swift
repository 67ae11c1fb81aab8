internal import KingletFFI

/// An answer, complete.
public struct Response: Sendable, Equatable {
    /// The text.
    public let content: String
    /// Usage of the answer.
    public let usage: Usage
}

/// Usage of an answer: engine, token counts, finish reason and timing.
public struct Usage: Sendable, Equatable {
    /// Why an answer ended.
    public enum Finish: Sendable {
        /// A stop string appeared; the text ends before it.
        case stop
        /// The model ended its turn.
        case endOfTurn
        /// It has as many tokens as were asked for.
        case length
        /// The context holds no further token.
        case contextFull
        /// It was cancelled; the text so far is valid.
        case cancelled

        init(_ reason: FinishReason) {
            self =
                switch reason {
                case .stop: .stop
                case .endOfTurn: .endOfTurn
                case .length: .length
                case .contextFull: .contextFull
                case .cancelled: .cancelled
                }
        }
    }

    /// Tokens of the prompt.
    public let promptTokens: Int
    /// Those of them that were in the cache already.
    public let cachedTokens: Int
    /// Tokens of the answer, an end token included.
    public let newTokens: Int
    /// Why it ended.
    public let finish: Finish
    /// Seconds to the first token; `nil` if there is none.
    public let timeToFirstToken: Double?
    /// Tokens a second after the first; `nil` if there was no second one.
    public let tokensPerSecond: Double?
    /// Which engine answered; `system:` and a name for the system's model, which counts no tokens.
    public let engine: String

    init(_ usage: KingletFFI.Usage) {
        promptTokens = Int(usage.promptTokens)
        cachedTokens = Int(usage.cachedTokens)
        newTokens = Int(usage.newTokens)
        finish = Finish(usage.finish)
        timeToFirstToken = usage.firstTokenMs.map { $0 / 1000 }
        tokensPerSecond = usage.tokensPerSecond
        engine = usage.engine
    }
}

/// A message of a session.
public struct Message: Sendable, Equatable {
    /// `system`, `user` or `assistant`.
    public let role: String
    /// Text of the message.
    public let content: String

    /// A message.
    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }

    init(_ message: ChatMessage) {
        self.init(role: message.role, content: message.content)
    }

    var native: ChatMessage { ChatMessage(role: role, content: content) }
}
