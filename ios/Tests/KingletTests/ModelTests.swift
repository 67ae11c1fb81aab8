import Foundation
import Kinglet
import Testing

@Suite struct ModelTests {
    @Test func repliesAreSuggested() async throws {
        let model = try await KingletModel.open(at: Models.goldcrest)
        let talk = [Turn(.customer, "Do you want to grab lunch tomorrow?")]
        let replies = try await model.smartReplies(to: talk).replies
        #expect((1...3).contains(replies.count))
        #expect(try await model.smartReplies(to: talk).replies == replies)
        #expect(replies.allSatisfy { (0...1).contains($0.score) })
        let own = ReplyOptions(bank: ["Yes, gladly.", "The train leaves at nine."])
        let ranked = try await model.smartReplies(to: talk, options: own).replies
        let scores = try await model.scoreReplies(to: talk, candidates: ranked.map(\.text))
        for (score, reply) in zip(scores, ranked) {
            #expect(abs(score.score - reply.score) < 1e-2)
            #expect(reply.source == .bank)
        }
        guard case .none = try await model.smartReplies(to: [Turn(.customer, "...")]) else {
            Issue.record("there is nothing to answer")
            return
        }
    }

    @Test func aModelIsDescribedAndPrepared() async throws {
        let model = try await KingletModel.open(at: Models.goldcrest)
        let heard = Heard()
        try await model.prepare { heard.add($0) }
        #expect(heard.all.allSatisfy { (0...1).contains($0) })
        let info = try await model.info()
        #expect([info.name, info.family, info.engine] == ["goldcrest", "llama", "tract"])
        #expect(try #require(info.memory).total > 0)
        #expect(try await KingletModel.inspect(Models.goldcrest).unsupported == nil)
    }

    @Test func errorsSayWhatToDo() async throws {
        await expect { try await KingletModel.open(at: Models.absent) } throws: { error in
            if case KingletError.notFound(let said) = error { said.contains("/no/such/model") } else { false }
        }
        await expect { try await KingletModel.open(at: Models.endless, options: OpenOptions(memoryBudget: 1000)) } throws: { error in
            if case KingletError.outOfMemory(let said) = error { said.contains("at least") } else { false }
        }
        await expect { try await KingletModel.open(at: Models.endless, options: OpenOptions(threads: -1)) } throws: { error in
            if case KingletError.invalidRequest(let said) = error { said.contains("threads") } else { false }
        }
        try await withFolder { folder in
            try Data("{".utf8).write(to: folder.appendingPathComponent("config.json"))
            await expect { try await KingletModel.open(at: folder) } throws: { error in
                if case KingletError.badModel = error { true } else { false }
            }
        }
        let session = try await KingletModel.open(at: Models.endless).session()
        _ = session
        #expect(KingletError.busy("wait").localizedDescription == "wait")
    }

    @Test func whatIsClosedSaysSo() async throws {
        let model = try await KingletModel.open(at: Models.endless)
        let session = try await model.session()
        let other = try await model.session()
        session.close()
        session.close()
        #expect(throws: KingletError.self) { try session.transcript }
        model.close()
        model.close()
        await expect { try await other.respond(to: "hello") } throws: { error in
            if case KingletError.closed = error { true } else { false }
        }
        await #expect(throws: KingletError.self) { try await model.info() }
        #expect(model.keysAndValuesBytes == 0)
        model.memoryPressure(.critical)
        model.pause()
    }

    @Test func screensThatComeAndGoLeaveNothingBehind() async throws {
        func cycle() async throws {
            let model = try await KingletModel.open(at: Models.endless)
            _ = try await model.session().respond(to: "hello", options: greedy)
            model.close()
        }
        for _ in 0..<20 { try await cycle() }
        let before = residentKiB()
        for _ in 0..<200 { try await cycle() }
        let grown = residentKiB() - before
        print("GROWTH of 200 openings: \(grown) KiB")
        #expect(grown < 32 * 1024)
    }
}

/// Thread-safe log of values, in the order of the calls.
final class Heard: @unchecked Sendable {
    private let lock = NSLock()
    private var said: [Float] = []

    func add(_ value: Float) {
        lock.withLock { said.append(value) }
    }

    var all: [Float] { lock.withLock { said } }
}

/// Memory of the process, where Linux tells.
private func residentKiB() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS") }
    return Int(line?.filter(\.isNumber) ?? "") ?? 0
}
