import Foundation
import Testing

/// The example of the repository, which documents point to; it is copied beside this file.
@Suite struct ExampleTests {
    @Test func theExampleShowsRepliesAndErrors() async throws {
        var shown: [String] = []
        try await replies(from: Models.goldcrest) { shown.append($0) }
        #expect(shown.count >= 2 && !shown.contains { $0.hasPrefix("no reply") }, "\(shown)")
        shown = []
        try await replies(from: Models.absent) { shown.append($0) }
        #expect(shown.count == 1 && shown[0].contains("/no/such/model"), "\(shown)")
    }
}
