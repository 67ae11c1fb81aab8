import Foundation
import Kinglet

/// State of the model screen.
struct ModelState: Equatable {
    /// Description of the model, once it is open.
    var info: ModelInfo?
    /// Seconds that opening took.
    var openSeconds: Double?
    /// Seconds that the last suggestions took.
    var replySeconds: Double?
    /// Why there is no model, as a sentence.
    var problem: String?

    /// A name and a value.
    struct Fact: Equatable, Identifiable {
        let name: String
        let value: String
        var id: String { name }
    }

    /// In the order they are shown in. Unknown values are left out.
    var facts: [Fact] {
        let known: [(String, String?)] = [
            ("Name", info?.name), ("Family", info?.family),
            ("Parameters", info.map { String(format: "%.1f M", Double($0.parameters) / 1e6) }), ("Weights", info?.precision),
            ("Engine", info?.engine), ("Context", info?.context.map { "\($0) tokens" }),
            ("Memory at most", (info?.memory?.total).map(megabytes)), ("On the disk", (info?.fileBytes).map(megabytes)),
            ("Opened in", openSeconds.map(milliseconds)), ("Last suggestions in", replySeconds.map(milliseconds)),
        ]
        return known.compactMap { name, value in value.map { Fact(name: name, value: $0) } }
    }
}

private func megabytes(_ bytes: Int) -> String {
    String(format: "%.1f MB", Double(bytes) / 1e6)
}

private func milliseconds(_ seconds: Double) -> String {
    String(format: "%.0f ms", seconds * 1000)
}
