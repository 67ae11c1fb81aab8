import Kinglet

/// A conversation between two sides on one device, with suggestions for the side that is to answer.
@MainActor
final class Chat {
    /// State of the messaging screen.
    struct State: Equatable {
        /// Messages of the conversation, oldest first.
        var turns: [Turn] = []
        /// Who writes the next message.
        var next = Speaker.customer
        /// Suggestions for whoever writes next, best first.
        var replies: [Reply] = []
        /// Whether suggestions are on their way.
        var searching = false
        /// Why there are none, as a sentence.
        var note: String?
    }

    /// Hears of each change.
    var changed: (State) -> Void = { _ in }
    private(set) var state = State() {
        didSet { changed(state) }
    }
    private let suggest: @Sendable ([Turn]) async throws -> SmartReplies
    private var search: Task<Void, Never>?

    /// - Parameter suggest: finds replies; see `KingletModel.smartReplies`.
    init(suggest: @escaping @Sendable ([Turn]) async throws -> SmartReplies) {
        self.suggest = suggest
    }

    /// Adds a message of the side whose turn it is, and looks for replies to it. A search for an earlier one ends.
    func say(_ text: String) {
        let said = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        guard !said.allSatisfy(\.isWhitespace) else { return }
        search?.cancel()
        state = State(turns: state.turns + [Turn(state.next, said)], next: state.next.other, searching: true)
        search = Task { [suggest, turns = state.turns] in
            let found: SmartReplies
            do {
                found = try await suggest(turns)
            } catch let error as KingletError {
                found = .none(explanation: error.message)
            } catch {
                return  // another message was said meanwhile
            }
            if !Task.isCancelled { self.show(found) }
        }
    }

    /// Ends the search for suggestions: the screen is gone.
    func leave() {
        search?.cancel()
        state.searching = false
    }

    private func show(_ found: SmartReplies) {
        state.searching = false
        state.replies = found.replies
        state.note =
            switch found {
            case .suggested: nil
            case .none(let explanation), .unsafe(_, let explanation), .unsupportedLanguage(_, let explanation): explanation
            }
    }
}

extension Speaker {
    /// Who answers this side.
    var other: Speaker { self == .customer ? .agent : .customer }
}
