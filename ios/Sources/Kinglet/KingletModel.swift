import Foundation
internal import KingletFFI

/// An opened model. It may be used from several tasks: they take turns step by step. Its memory is given back when it is closed, or when
/// neither it nor a session of it is held any more.
///
/// ```swift
/// let model = try await KingletModel.open(at: Bundle.main.url(forResource: "goldcrest", withExtension: nil)!)
/// for reply in try await model.smartReplies(to: [Turn(.customer, "Are you open today?")]).replies {
///     print(reply.text)
/// }
/// ```
public final class KingletModel: Sendable {
    private let model: KingletFFI.Model

    private init(_ model: KingletFFI.Model) {
        self.model = model
    }

    /// Opens the model in a folder. Weights are mapped, not read: it is a matter of milliseconds.
    ///
    /// - Parameters:
    ///   - folder: the model's folder, in the app's bundle or in its files.
    ///   - system: the system's model, to be asked as `policy` says; `nil` for none.
    /// - Throws: ``KingletError/notFound(_:)``, ``KingletError/badModel(_:)``, ``KingletError/unsupported(_:)``,
    ///   ``KingletError/outOfMemory(_:)``, ``KingletError/invalidRequest(_:)``.
    public static func open(
        at folder: URL, options: OpenOptions = OpenOptions(), system: (any SystemModel)? = nil, policy: SystemPolicy = .prefer
    ) async throws -> KingletModel {
        try await blocking {
            let options = try options.native()
            let kinglet =
                if let system {
                    try KingletFFI.Kinglet.withSystemModel(
                        options: options, system: NativeSystem(system), policy: policy.native)
                } else {
                    try KingletFFI.Kinglet(options: options)
                }
            return KingletModel(try kinglet.open(folder: folder.path))
        }
    }

    /// Opens the system's model alone, without a folder.
    public static func openSystem(_ system: any SystemModel) async throws -> KingletModel {
        try await blocking {
            let options = try OpenOptions().native()
            let kinglet = try KingletFFI.Kinglet.withSystemModel(options: options, system: NativeSystem(system), policy: .only)
            return KingletModel(try kinglet.openSystem())
        }
    }

    /// Description of the model in a folder, also of one that does not run here: ``ModelInfo/unsupported`` then gives the reason.
    ///
    /// - Throws: ``KingletError/notFound(_:)``, ``KingletError/badModel(_:)``.
    public static func inspect(_ folder: URL, options: OpenOptions = OpenOptions()) async throws -> ModelInfo {
        try await blocking { ModelInfo(try KingletFFI.Kinglet(options: options.native()).inspect(folder: folder.path)) }
    }

    /// Description of the opened model, with the context that the memory budget allowed.
    ///
    /// - Throws: ``KingletError/closed(_:)``.
    public func info() async throws -> ModelInfo {
        try await blocking { [model] in ModelInfo(try model.info()) }
    }

    /// Does now what the first answer would have to do first: a moment for small models, a second or two for large ones.
    ///
    /// - Parameter progress: hears how much is done, from 0 to 1, on a thread of Kinglet's.
    /// - Throws: ``KingletError/closed(_:)``, ``KingletError/outOfMemory(_:)``, ``KingletError/storage(_:)`` where
    ///   ``OpenOptions/preparedWeights`` takes nothing.
    public func prepare(progress: (@Sendable (Float) -> Void)? = nil) async throws {
        let hearer = progress.map(Hearer.init)
        try await cancellable { [model] in try model.prepare(progress: hearer, cancellation: $0) }
    }

    /// Begins a conversation.
    ///
    /// - Parameters:
    ///   - instructions: a system message before all others.
    ///   - transcript: earlier messages of the conversation, oldest first.
    /// - Throws: ``KingletError/closed(_:)``, ``KingletError/unsupported(_:)`` for a model without a chat template.
    public func session(instructions: String? = nil, transcript: [Message] = []) async throws -> KingletSession {
        try await blocking { [model] in
            let setup = SessionSetup(instructions: instructions, messages: transcript.map(\.native), template: nil)
            return KingletSession(try model.session(setup: setup))
        }
    }

    /// Replies for the side whose turn it is, oldest message first. That there is no good one is an answer, not an error. The same
    /// options give the same replies.
    ///
    /// - Parameter instructions: instructions of the replying side, for models that were trained to read them.
    /// - Throws: ``KingletError/closed(_:)``, ``KingletError/unsupported(_:)``, ``KingletError/invalidRequest(_:)``;
    ///   `CancellationError` where the task is cancelled.
    public func smartReplies(
        to conversation: [Turn], options: ReplyOptions = ReplyOptions(), instructions: String? = nil
    ) async throws -> SmartReplies {
        try await cancellable { [model] in
            let talk = Talk(conversation, instructions: instructions)
            return SmartReplies(try model.smartReply(talk: talk, options: options.native(), cancellation: $0))
        }
    }

    /// The same model, whose suggested replies `judge` judges: a model with a bank of replies, as the one that ships with Kinglet. Its
    /// bank fills in where this model writes nothing good, and where neither is sure there is no reply.
    ///
    /// - Throws: ``KingletError/closed(_:)``, ``KingletError/unsupported(_:)`` where `judge` has no bank.
    public func judged(by judge: KingletModel) async throws -> KingletModel {
        try await blocking { [model] in KingletModel(try model.judgedBy(judge: judge.model)) }
    }

    /// How well each of `candidates` fits as the next message, in the order of the candidates.
    ///
    /// - Throws: as ``smartReplies(to:options:instructions:)``.
    public func scoreReplies(
        to conversation: [Turn], candidates: [String], instructions: String? = nil
    ) async throws -> [ReplyScore] {
        try await cancellable { [model] in
            let talk = Talk(conversation, instructions: instructions)
            return try model.scoreReplies(talk: talk, candidates: candidates, cancellation: $0).map(ReplyScore.init)
        }
    }

    /// Bytes that keys and values of all sessions take now; 0 once it is closed.
    public var keysAndValuesBytes: Int { Int(clamping: model.kvBytes()) }

    /// Gives memory back, at once or after the step in progress. It never waits, and changes no answer; nothing on a closed model.
    public func memoryPressure(_ pressure: MemoryPressure) {
        model.memoryPressure(pressure: pressure.native)
    }

    /// Slows answers down while the device is hot. It holds until the next call.
    public func thermal(_ state: ThermalState) {
        model.thermal(state: state.native)
    }

    /// Has answers wait, after the token in progress, until ``resume()``. Cancelling one ends its waiting.
    public func pause() {
        model.pause()
    }

    /// Ends a pause, however often it was asked for.
    public func resume() {
        model.resume()
    }

    /// Closes the model and its sessions, whose answers end within a token. Closing twice does nothing more.
    public func close() {
        model.end()
    }
}

/// Hears how much of a preparation is done.
private final class Hearer: PrepareProgress {
    let hear: @Sendable (Float) -> Void

    init(_ hear: @escaping @Sendable (Float) -> Void) {
        self.hear = hear
    }

    func onProgress(done: Float) {
        hear(done)
    }
}
