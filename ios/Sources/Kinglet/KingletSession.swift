import Foundation
internal import KingletFFI

/// A conversation: each turn reads only what is new. After a failed or cancelled answer it is as before that turn.
///
/// A session answers one message at a time; a second one meanwhile is ``KingletError/busy(_:)``. Releasing it ends its answer.
public final class KingletSession: Sendable {
    private let session: KingletFFI.Session

    init(_ session: KingletFFI.Session) {
        self.session = session
    }

    /// Answers `prompt`, and gives the whole answer.
    ///
    /// - Throws: ``KingletError/busy(_:)``, ``KingletError/closed(_:)``, ``KingletError/invalidRequest(_:)``; `CancellationError` where
    ///   the task is cancelled, soon after.
    public func respond(to prompt: String, options: GenerationOptions = GenerationOptions()) async throws -> Response {
        var content = ""
        for try await piece in streamResponse(to: prompt, options: options) {
            switch piece {
            case .text(let text): content += text
            case .done(let usage): return Response(content: content, usage: usage)
            }
        }
        throw KingletError.closed("the session was closed in the middle of the answer; open another one")
    }

    /// Answers `prompt` piece by piece. Nothing happens before the stream is iterated.
    public func streamResponse(to prompt: String, options: GenerationOptions = GenerationOptions()) -> ResponseStream {
        ResponseStream { [session] in try session.respond(text: prompt, options: options.native()) }
    }

    /// Whether an answer is in progress.
    public var isResponding: Bool { session.isResponding() }

    /// The transcript: messages of completed turns only. An answer in progress is not part of it, and does not block the call.
    ///
    /// - Throws: ``KingletError/closed(_:)``.
    public var transcript: [Message] {
        get throws { try native { try session.messages().map(Message.init) } }
    }

    /// Saves what was read and said so far in ``OpenOptions/prefixCache``: a session that begins with the same instructions and
    /// transcript, also after the process was ended, reads only what is new. The transcript itself is the app's to keep. Gives the
    /// tokens that were saved.
    ///
    /// - Throws: ``KingletError/busy(_:)``, ``KingletError/closed(_:)``, ``KingletError/unsupported(_:)`` without that folder,
    ///   ``KingletError/storage(_:)``.
    @discardableResult
    public func save() async throws -> Int {
        try await blocking { [session] in Int(try session.save()) }
    }

    /// Forgets what was said, and keeps the instructions.
    ///
    /// - Throws: ``KingletError/busy(_:)``, ``KingletError/closed(_:)``.
    public func reset() throws {
        try native { try session.reset() }
    }

    /// A session with the same conversation, which shares memory with this one.
    ///
    /// - Throws: ``KingletError/busy(_:)``, ``KingletError/closed(_:)``, ``KingletError/outOfMemory(_:)``.
    public func fork() throws -> KingletSession {
        try native { KingletSession(try session.fork()) }
    }

    /// Ends the answer in progress within a token, and frees the conversation's memory. Closing twice does nothing more.
    public func close() {
        session.end()
    }
}
