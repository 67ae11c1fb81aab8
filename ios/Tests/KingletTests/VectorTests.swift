import Foundation
import Kinglet
import Testing

/// The vectors that Rust and Kotlin run too: the same requests, the same replies, the same errors.
@Suite struct VectorTests {
    struct Vectors: Decodable {
        struct Replies: Decodable {
            let turns: [[String]]
            let bank: [String]?
            let status: String
            let best: String?
        }

        struct Conversation: Decodable {
            let model: String
            let instructions: String?
            let tokens: Int
            let turns: [[String]]
        }

        struct Failure: Decodable {
            let open: String
            let memory_budget: Int?
            let context: Int?
            let variant: String?
            let say: String?
            let temperature: Float?
            let error: String
            let says: String
        }

        let replies: [Replies]
        let conversations: [Conversation]
        let errors: [Failure]

        static func read() throws -> Vectors {
            try JSONDecoder().decode(Vectors.self, from: Data(contentsOf: Models.folder.appendingPathComponent("vectors.json")))
        }
    }

    @Test func replies() async throws {
        let model = try await KingletModel.open(at: Models.goldcrest)
        let vectors = try Vectors.read().replies
        #expect(!vectors.isEmpty)
        for vector in vectors {
            let turns = vector.turns.map { Turn($0[0] == "agent" ? .agent : .customer, $0[1]) }
            let answer = try await model.smartReplies(to: turns, options: ReplyOptions(bank: vector.bank))
            let status =
                switch answer {
                case .suggested: "suggested"
                case .none: "none"
                case .unsafe: "unsafe"
                case .unsupportedLanguage: "unsupported_language"
                }
            #expect(status == vector.status)
            #expect(vector.best == nil || answer.replies.first?.text == vector.best)
        }
    }

    @Test func conversations() async throws {
        let vectors = try Vectors.read().conversations
        #expect(!vectors.isEmpty)
        for vector in vectors {
            let model = try await KingletModel.open(at: Models.folder.appendingPathComponent(vector.model))
            let session = try await model.session(instructions: vector.instructions)
            for turn in vector.turns {
                let options = GenerationOptions(maximumResponseTokens: vector.tokens, sampling: .greedy)
                #expect(try await session.respond(to: turn[0], options: options).content == turn[1])
            }
        }
    }

    @Test func errors() async throws {
        let vectors = try Vectors.read().errors
        #expect(!vectors.isEmpty)
        for vector in vectors {
            await expect {
                let options = OpenOptions(memoryBudget: vector.memory_budget, context: vector.context, variant: vector.variant)
                let model = try await KingletModel.open(at: Models.folder.appendingPathComponent(vector.open), options: options)
                let sampling = GenerationOptions.Sampling(temperature: vector.temperature ?? 0)
                let answer = GenerationOptions(maximumResponseTokens: 2, sampling: sampling)
                return try await model.session().respond(to: vector.say ?? "", options: answer)
            } throws: { error in
                let kind =
                    switch error {
                    case KingletError.notFound: "not_found"
                    case KingletError.badModel: "bad_model"
                    case KingletError.invalidRequest: "invalid_request"
                    case KingletError.outOfMemory: "out_of_memory"
                    default: "another"
                    }
                return kind == vector.error && error.localizedDescription.contains(vector.says)
            }
        }
    }
}
