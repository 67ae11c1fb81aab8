import Foundation
import Kinglet
import Testing

@Suite struct SessionTests {
    @Test func anAnswerIsAStreamOfPieces() async throws {
        let model = try await KingletModel.open(at: Models.endless)
        let session = try await model.session()
        var text = ""
        var usage: Usage?
        for try await piece in session.streamResponse(to: "hello", options: greedy) {
            switch piece {
            case .text(let more):
                #expect(usage == nil)
                text += more
            case .done(let done): usage = done
            }
        }
        #expect((1...20).contains(try #require(usage).newTokens))
        #expect(try session.transcript == [Message(role: "user", content: "hello"), Message(role: "assistant", content: text)])
        try session.reset()
        #expect(try session.transcript.isEmpty)
        let again = try await session.respond(to: "hello", options: greedy)
        #expect(again.content == text)
    }

    @Test func leavingTheLoopEndsTheWork() async throws {
        let session = try await KingletModel.open(at: Models.endless).session()
        for try await _ in session.streamResponse(to: "hello", options: GenerationOptions(maximumResponseTokens: 200)) { break }
        try await session.idle()
        try session.reset()
        _ = try await session.respond(to: "hello", options: greedy)
    }

    @Test func aCancelledTaskEndsTheWork() async throws {
        let model = try await KingletModel.open(at: Models.endless)
        for millis in 0..<6 {
            let session = try await model.session()
            let task = Task { try await session.respond(to: "hello", options: GenerationOptions(maximumResponseTokens: 200)) }
            try await Task.sleep(nanoseconds: UInt64(millis) * 1_000_000)
            task.cancel()
            switch await task.result {
            case .success: break  // it was faster
            case .failure(let error): #expect(error is CancellationError, "\(error)")
            }
            try await session.idle()
        }
    }

    @Test func aTaskThatIsCancelledWhileItWaitsEndsAtOnce() async throws {
        let model = try await KingletModel.open(at: Models.endless)
        model.pause()
        let session = try await model.session()
        let task = Task { try await session.respond(to: "hello", options: greedy) }
        try await Task.sleep(nanoseconds: 20_000_000)
        #expect(session.isResponding)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try await session.idle()
        model.resume()
        _ = try await session.respond(to: "hello", options: greedy)
    }

    @Test func closingInTheMiddleOfAnAnswerEndsIt() async throws {
        let model = try await KingletModel.open(at: Models.endless)
        let session = try await model.session()
        let task = Task { try await session.respond(to: "hello", options: GenerationOptions(maximumResponseTokens: 200)) }
        try await Task.sleep(nanoseconds: 3_000_000)
        model.close()
        session.close()
        _ = await task.result
    }

    @Test func aSessionAnswersOneMessageAtATime() async throws {
        let model = try await KingletModel.open(at: Models.endless)
        model.pause()
        let session = try await model.session()
        let task = Task { try await session.respond(to: "hello", options: greedy) }
        while !session.isResponding { try await Task.sleep(nanoseconds: 1_000_000) }
        await expect { try await session.respond(to: "and") } throws: { error in
            if case KingletError.busy = error { true } else { false }
        }
        #expect(throws: KingletError.self) { try session.fork() }
        model.resume()
        _ = try await task.value
        let fork = try session.fork()
        #expect(try fork.transcript == session.transcript)
    }

    @Test func manyTasksOnOneSession() async throws {
        let session = try await KingletModel.open(at: Models.endless).session()
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    do {
                        _ = try await session.respond(to: "hello", options: GenerationOptions(maximumResponseTokens: 2))
                        return true
                    } catch KingletError.busy {
                        return true
                    } catch {
                        Issue.record(error)
                        return false
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.count == 16 && outcomes.allSatisfy { $0 })
    }

    @Test func shortMemoryAndHeatChangeNoAnswer() async throws {
        let model = try await KingletModel.open(at: Models.endless)
        let calm = try await model.session().respond(to: "hello", options: greedy).content
        for state in [ThermalState.critical, .serious, .fair, .nominal] {
            model.thermal(state)
            model.memoryPressure(.moderate)
            model.memoryPressure(.critical)
            #expect(try await model.session().respond(to: "hello", options: greedy).content == calm)
        }
    }

    @Test func aConversationOutlivesItsProcess() async throws {
        try await withFolder { folder in
            let options = OpenOptions(prefixCache: folder)
            let session = try await KingletModel.open(at: Models.endless, options: options).session()
            _ = try await session.respond(to: "Tell me about the harbour and its ships.", options: greedy)
            let transcript = try session.transcript
            #expect(try await session.save() > 16)
            let expected = try await session.respond(to: "And then?", options: greedy)
            let again = try await KingletModel.open(at: Models.endless, options: options).session(transcript: transcript)
            let restored = try await again.respond(to: "And then?", options: greedy)
            #expect(restored.content == expected.content)
            #expect(restored.usage.cachedTokens > 16)
        }
    }

    @Test func optionsOutOfRangeAreRefused() async throws {
        let session = try await KingletModel.open(at: Models.endless).session()
        let hot = GenerationOptions(sampling: .init(temperature: -1))
        await expect { try await session.respond(to: "a", options: hot) } throws: { error in
            if case KingletError.invalidRequest(let said) = error { said.contains("temperature") } else { false }
        }
        await expect { try await session.respond(to: "a", options: GenerationOptions(maximumResponseTokens: -3)) } throws: { error in
            if case KingletError.invalidRequest(let said) = error { said.contains("maximumResponseTokens") } else { false }
        }
        _ = try await session.respond(to: "a", options: greedy)
    }

    /// Not a measure of time that could fail: it is printed.
    @Test func whatATokenCosts() async throws {
        let session = try await KingletModel.open(at: Models.endless).session()
        var pieces = 0
        let stream = session.streamResponse(to: "hello", options: GenerationOptions(maximumResponseTokens: 200, sampling: .greedy))
        var iterator = stream.makeAsyncIterator()
        _ = try await iterator.next()
        try await session.idle()
        let clock = ContinuousClock()
        let took = try await clock.measure { while try await iterator.next() != nil { pieces += 1 } }
        print("COST \(took / max(pieces, 1)) a piece of \(pieces)")
    }
}
