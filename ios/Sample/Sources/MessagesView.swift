#if canImport(SwiftUI)
    import Kinglet
    import SwiftUI

    /// Messages of two sides, suggestions for whoever writes next, and the line to write in. A chip puts its text there.
    struct MessagesView: View {
        let state: Chat.State
        let say: (String) -> Void
        @State private var draft = ""

        var body: some View {
            VStack(spacing: 8) {
                ScrollViewReader { reader in
                    ScrollView {
                        LazyVStack(spacing: 8) {
                            ForEach(Array(state.turns.enumerated()), id: \.offset) { Bubble(turn: $0.element) }
                        }
                        .padding(.horizontal)
                    }
                    .onChange(of: state.turns.count) { count in withAnimation { reader.scrollTo(count - 1, anchor: .bottom) } }
                }
                if state.searching { ProgressView().accessibilityLabel("Looking for replies") }
                if let note = state.note { Text(note).font(.footnote).foregroundStyle(.secondary).padding(.horizontal) }
                suggestions
                HStack {
                    TextField(state.next == .customer ? "As the guest" : "As the café", text: $draft, axis: .vertical)
                        .textFieldStyle(.roundedBorder)
                        .lineLimit(1...4)
                    Button("Send") {
                        say(draft)
                        draft = ""
                    }
                    .buttonStyle(.borderedProminent)
                    .disabled(draft.isEmpty)
                }
                .padding()
            }
        }

        private var suggestions: some View {
            ScrollView(.horizontal, showsIndicators: false) {
                HStack {
                    ForEach(state.replies, id: \.text) { reply in
                        Button(reply.text) { draft = reply.text }.buttonStyle(.bordered).buttonBorderShape(.capsule)
                    }
                }
                .padding(.horizontal)
            }
            .fixedSize(horizontal: false, vertical: true)
            .accessibilityLabel("Suggested replies")
        }
    }

    /// One message, at the side of whoever said it.
    private struct Bubble: View {
        let turn: Turn

        var body: some View {
            let mine = turn.speaker == .agent
            Text(turn.text)
                .padding(.horizontal, 12)
                .padding(.vertical, 8)
                .background(mine ? Color.accentColor.opacity(0.2) : Color.secondary.opacity(0.15), in: RoundedRectangle(cornerRadius: 16))
                .frame(maxWidth: .infinity, alignment: mine ? .trailing : .leading)
        }
    }
#endif
