import Foundation
import Kinglet

/// Suggested replies to a conversation, and an answer as it grows: what an app does, without its screens.
func replies(from folder: URL, show: (String) -> Void) async throws {
    do {
        let model = try await KingletModel.open(at: folder)
        let conversation = [
            Turn(.customer, "hi!! how was the exam?"),
            Turn(.agent, "hard but it's over"),
            Turn(.customer, "do you want to celebrate at the cafe on friday?"),
        ]
        switch try await model.smartReplies(to: conversation) {
        case .suggested(let replies): replies.forEach { show($0.text) }
        case .none(let explanation): show("no reply: \(explanation)")
        case .unsafe(_, let explanation): show("a person should answer: \(explanation)")
        case .unsupportedLanguage(_, let explanation): show("not in this language: \(explanation)")
        }

        let session = try await model.session()
        for try await piece in session.streamResponse(to: "Can I change my booking to Friday?") {
            switch piece {
            case .text(let text): show(text)
            case .done(let usage): show("\(usage.newTokens) tokens, by \(usage.engine)")
            }
        }
    } catch let error as KingletError {
        // Each case is another thing to do, and the text says what.
        show(error.message)
    }
}
