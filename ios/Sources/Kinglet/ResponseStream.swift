internal import KingletFFI

/// The pieces of an answer as it grows, for `for try await`.
///
/// Each iteration is a turn of its own, which begins with it. Leaving the loop early, letting go of the iterator or cancelling the task
/// ends the native work within a token, and the session is then as before that turn.
public struct ResponseStream: AsyncSequence, Sendable {
    /// Streaming event of an answer.
    public enum Element: Sendable, Equatable {
        /// More of the text, never half a character.
        case text(String)
        /// The answer is complete; nothing follows.
        case done(Usage)
    }

    let begin: @Sendable () throws -> Generation

    public func makeAsyncIterator() -> Iterator {
        Iterator(state: .asked(begin))
    }

    /// One answer.
    public struct Iterator: AsyncIteratorProtocol {
        enum State {
            case asked(@Sendable () throws -> Generation)
            /// The generation ends its work when it is let go of.
            case answering(Generation)
            case over
        }

        var state: State

        /// The next piece, once there is one; `nil` after the last.
        ///
        /// - Throws: ``KingletError``, and `CancellationError` where the task is cancelled.
        public mutating func next() async throws -> Element? {
            do {
                let piece = try await pull()
                if piece == nil { state = .over }
                return piece
            } catch {
                state = .over
                throw translated(error)
            }
        }

        private mutating func pull() async throws -> Element? {
            if case .asked(let begin) = state {
                try Task.checkCancellation()
                state = .answering(try begin())
            }
            guard case .answering(let generation) = state else { return nil }
            let piece = try await withTaskCancellationHandler {
                try await generation.next()
            } onCancel: {
                generation.cancel()
            }
            try Task.checkCancellation()
            return switch piece {
            case .text(let text): .text(text)
            case .done(let usage): .done(Usage(usage))
            case nil: nil
            }
        }
    }
}
