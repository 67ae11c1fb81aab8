import Foundation
import Kinglet
import Testing

/// A system's model as an app gives it, in the place of those that only phones have.
private struct Host: SystemModel {
    var availability = SystemAvailability.available
    var asked: Asked?
    let answer: @Sendable (AsyncThrowingStream<String, any Error>.Continuation) -> Void

    let name = "apple"

    func respond(to request: SystemRequest) -> AsyncThrowingStream<String, any Error> {
        asked?.request = request
        return AsyncThrowingStream { answer($0) }
    }

    func prewarm(instructions: String?) {}
}

private final class Asked: @unchecked Sendable {
    private let lock = NSLock()
    private var kept: SystemRequest?

    var request: SystemRequest? {
        get { lock.withLock { kept } }
        set { lock.withLock { kept = newValue } }
    }
}

private func saying(_ pieces: String...) -> @Sendable (AsyncThrowingStream<String, any Error>.Continuation) -> Void {
    { continuation in
        pieces.forEach { continuation.yield($0) }
        continuation.finish()
    }
}

private func failing(_ error: any Error) -> @Sendable (AsyncThrowingStream<String, any Error>.Continuation) -> Void {
    { $0.finish(throwing: error) }
}

private struct Mistake: Error {}

@Suite struct SystemTests {
    private func ask(_ model: KingletModel) async throws -> Response {
        let session = try await model.session(instructions: "Be kind.")
        return try await session.respond(to: "Hello?", options: GenerationOptions(maximumResponseTokens: 5))
    }

    @Test func aSystemAloneAnswersWhatItIsAsked() async throws {
        let asked = Asked()
        let model = try await KingletModel.openSystem(Host(asked: asked, answer: saying("Good ", "day.")))
        let answer = try await ask(model)
        #expect([answer.content, answer.usage.engine] == ["Good day.", "system:apple"])
        let request = try #require(asked.request)
        #expect(request.instructions == "Be kind.")
        #expect(request.messages == [Message(role: "user", content: "Hello?")])
        #expect(request.maximumResponseTokens == 5)
    }

    @Test func theFolderAnswersWhereTheSystemDoesNot() async throws {
        let hosts = [
            Host(answer: failing(SystemModelError.busy("quota"))), Host(answer: failing(Mistake())),
            Host(availability: .deviceNotEligible, answer: saying("never")),
            Host(availability: .unknown("no service"), answer: saying("never")),
        ]
        for host in hosts {
            let model = try await KingletModel.open(at: Models.endless, system: host)
            #expect(try await ask(model).usage.engine == "tract")
        }
        let host = Host(answer: saying("Here."))
        #expect(try await ask(KingletModel.open(at: Models.endless, system: host)).content == "Here.")
        let second = try await KingletModel.open(at: Models.endless, system: host, policy: .fallback)
        #expect(try await ask(second).usage.engine == "tract")
        #expect(try await ask(KingletModel.open(at: Models.absent, system: host, policy: .fallback)).content == "Here.")
    }

    @Test func whatTheSystemRefusesIsSaid() async throws {
        let model = try await KingletModel.openSystem(Host(answer: failing(SystemModelError.refused("guardrails"))))
        await expect { try await ask(model) } throws: { error in
            if case KingletError.refused(let said) = error { said.contains("guardrails") } else { false }
        }
    }

    @Test func leavingTheLoopEndsTheSystemsWork() async throws {
        let ended = Asked()
        let host = Host { continuation in
            continuation.onTermination = { _ in
                ended.request = SystemRequest(
                    instructions: nil, messages: [], maximumResponseTokens: 0, temperature: nil, topK: nil, topP: nil, seed: nil)
            }
            continuation.yield("Wait")
        }
        let session = try await KingletModel.openSystem(host).session()
        for try await _ in session.streamResponse(to: "Hello?") { break }
        while ended.request == nil { try await Task.sleep(nanoseconds: 1_000_000) }
    }
}
