import Foundation
import Kinglet
import Testing

/// The models of the repository: the shipped one, and one that never ends an answer by itself.
enum Models {
    static let folder = URL(fileURLWithPath: ProcessInfo.processInfo.environment["KINGLET_MODELS"] ?? "models")
    static let goldcrest = folder.appendingPathComponent("goldcrest")
    static let endless = folder.appendingPathComponent("goldens/llama/genai")
    static let absent = URL(fileURLWithPath: "/no/such/model")
}

let greedy = GenerationOptions(maximumResponseTokens: 20, sampling: .greedy)

extension KingletSession {
    /// Waits until it may be asked again.
    func idle() async throws {
        while isResponding { try await Task.sleep(nanoseconds: 1_000_000) }
    }
}

/// A folder that is gone when `body` ends.
func withFolder<T>(_ body: (URL) async throws -> T) async throws -> T {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try await body(folder)
}

/// Holds what `body` throws against `matches`.
func expect<T>(
    _ body: () async throws -> T, throws matches: (any Error) -> Bool, sourceLocation: SourceLocation = #_sourceLocation
) async {
    do {
        _ = try await body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    } catch {
        #expect(matches(error), "\(error)", sourceLocation: sourceLocation)
    }
}
