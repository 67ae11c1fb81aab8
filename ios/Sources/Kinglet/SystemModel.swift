/// A model that the system brings, such as that of Foundation Models, as the app gives it to Kinglet. Sessions and smart replies are
/// then the same, whoever answers. It is called from several tasks at once.
public protocol SystemModel: Sendable {
    /// A short name for reports, such as `apple-intelligence`.
    var name: String { get }

    /// Whether it can be asked now; Kinglet asks before each request, from a thread of its own.
    var availability: SystemAvailability { get }

    /// The answer to `request`, piece by piece. The stream is ended when nobody listens any more.
    ///
    /// It throws ``SystemModelError``; anything else counts as ``SystemModelError/failed(_:)``.
    func respond(to request: SystemRequest) -> AsyncThrowingStream<String, any Error>

    /// Loads what the first answer would have to load, for sessions that begin with `instructions`.
    func prewarm(instructions: String?)
}

/// Whether the system's model can be asked.
public enum SystemAvailability: Sendable, Equatable {
    /// It can.
    case available
    /// Once the app has had it downloaded.
    case downloadable
    /// Soon: it is being downloaded.
    case downloading
    /// It cannot: the device, the system or the region has no such model.
    case deviceNotEligible
    /// It cannot: the user has it switched off in the system's settings.
    case switchedOff
    /// It cannot yet: the system still prepares it by itself.
    case modelNotReady
    /// It cannot: the system has to be updated.
    case needsUpdate
    /// It cannot; what is known, in one clause.
    case unknown(String)
}

/// Why the system's model gave no answer. Texts are one clause, without anything of prompts or answers.
public enum SystemModelError: Error, Sendable, Equatable {
    /// Its guardrails refuse what was asked or what would have been answered.
    case refused(String)
    /// Instructions, messages and answer are more than it can hold.
    case contextTooLong(String)
    /// It is asked too much, too often, or while the app is in the background.
    case busy(String)
    /// It is not there, or not any more.
    case unavailable(String)
    /// It cannot do what was asked, such as a language.
    case unsupported(String)
    /// Anything else.
    case failed(String)
}

/// What the system's model is asked.
public struct SystemRequest: Sendable, Equatable {
    /// What the model is told to be.
    public let instructions: String?
    /// The conversation, oldest first; the last message is to be answered.
    public let messages: [Message]
    /// Tokens that the answer has at most.
    public let maximumResponseTokens: Int
    /// 0 takes the likeliest token; `nil` as the system does by itself.
    public let temperature: Float?
    /// Draw from this many of the likeliest tokens; `nil` from all.
    public let topK: Int?
    /// Draw from the likeliest tokens whose probabilities reach this sum; `nil` from all.
    public let topP: Float?
    /// The same seed gives the same answer, where the system can do that.
    public let seed: UInt64?

    /// A request, for tests of adapters.
    public init(
        instructions: String?, messages: [Message], maximumResponseTokens: Int, temperature: Float? = nil, topK: Int? = nil,
        topP: Float? = nil, seed: UInt64? = nil
    ) {
        self.instructions = instructions
        self.messages = messages
        self.maximumResponseTokens = maximumResponseTokens
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.seed = seed
    }
}

/// When the system's model is asked. Who begins an answer ends it.
public enum SystemPolicy: Sendable {
    /// First; the folder's model answers where it is unavailable, or fails before there is any text.
    case prefer
    /// Second: where the folder's model cannot be opened or runs out of memory.
    case fallback
}
