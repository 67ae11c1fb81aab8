/// A model that the system brings, such as that of Foundation Models, as the app gives it to Kinglet. Sessions and smart replies are
/// then the same, whoever answers. It is called from several tasks at once.
public protocol SystemModel: Sendable {
    /// A short name for reports, such as `apple-intelligence`.
    var name: String { get }

    /// Whether it can be asked now; Kinglet asks before each request, from a thread of its own.
    var availability: SystemAvailability { get }

    /// The answer to `request`, piece by piece. The stream is ended when nobody listens any more.
    ///
    /// The stream throws ``SystemModelError``; anything else counts as ``SystemModelError/failed(_:)``.
    func respond(to request: SystemRequest) -> AsyncThrowingStream<String, any Error>

    /// Loads what the first answer would have to load, for sessions that begin with `instructions`.
    func prewarm(instructions: String?)
}

/// Whether the system's model can be asked.
public enum SystemAvailability: Sendable, Equatable {
    /// Available now.
    case available
    /// Available after a download, which the app has to request.
    case downloadable
    /// Not yet available: the download is in progress.
    case downloading
    /// Not available: the device, the system or the region has no such model.
    case deviceNotEligible
    /// Not available: switched off by the user in the system's settings.
    case switchedOff
    /// Not yet available: the system is still preparing it by itself.
    case modelNotReady
    /// Not available: the system has to be updated.
    case needsUpdate
    /// Not available, for another or an unknown reason: the reason, in one clause.
    case unknown(String)
}

/// Why the system's model gave no answer. Texts are one clause, without anything of prompts or answers.
public enum SystemModelError: Error, Sendable, Equatable {
    /// Its guardrails refuse what was asked or what would have been answered.
    case refused(String)
    /// Instructions, messages and answer are more than it can hold.
    case contextTooLong(String)
    /// Quota or rate limit exceeded, or the app is in the background.
    case busy(String)
    /// The model is not available, or no longer.
    case unavailable(String)
    /// The model does not support the request, such as its language.
    case unsupported(String)
    /// Anything else.
    case failed(String)
}

/// Request to the system's model.
public struct SystemRequest: Sendable, Equatable {
    /// Instructions for the model.
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
