import Foundation
import Kinglet
import Testing

@testable import Sample

@MainActor
@Suite struct ChatTests {
    private let model = URL(fileURLWithPath: ProcessInfo.processInfo.environment["KINGLET_MODELS"] ?? "models")
        .appendingPathComponent("goldcrest")

    private func settled(_ chat: Chat) async throws {
        while chat.state.searching { try await Task.sleep(nanoseconds: 1_000_000) }
    }

    @Test func repliesComeForTheOtherSide() async throws {
        let model = try await KingletModel.open(at: model)
        let chat = Chat { try await model.smartReplies(to: $0) }
        var heard = 0
        chat.changed = { _ in heard += 1 }
        chat.say("  \n ")
        #expect(heard == 0 && chat.state == Chat.State())
        chat.say("Do you want to grab\nlunch tomorrow?")
        #expect(chat.state.searching && chat.state.next == .agent)
        #expect(chat.state.turns == [Turn(.customer, "Do you want to grab lunch tomorrow?")])
        try await settled(chat)
        #expect((1...3).contains(chat.state.replies.count))
        #expect(heard >= 2)
    }

    @Test func aLaterMessageEndsTheSearchForTheEarlierOne() async throws {
        let chat = Chat { turns in
            if turns.count == 1 { try await Task.sleep(nanoseconds: 60_000_000_000) }
            return .none(explanation: "\(turns.count)")
        }
        chat.say("one")
        chat.say("two")
        try await settled(chat)
        #expect(chat.state.note == "2")
        chat.leave()
    }

    @Test func whatGoesWrongIsShown() async throws {
        let chat = Chat { _ in throw KingletError.closed("the model is closed") }
        chat.say("one")
        try await settled(chat)
        #expect(chat.state.note == "the model is closed" && chat.state.replies.isEmpty)
    }

    @Test func factsAreWhatIsKnown() async throws {
        #expect(ModelState(problem: "none").facts.isEmpty)
        let info = try await KingletModel.inspect(model)
        let facts = ModelState(info: info, openSeconds: 0.0123).facts
        #expect(facts.first == ModelState.Fact(name: "Name", value: "goldcrest"))
        #expect(facts.contains(ModelState.Fact(name: "Opened in", value: "12 ms")))
    }
}
