#if canImport(SwiftUI)
    import SwiftUI

    /// Two screens: messages, and the model behind their suggestions.
    @main
    struct SampleApp: App {
        @StateObject private var sample = SampleModel()
        @Environment(\.scenePhase) private var phase

        var body: some Scene {
            WindowGroup {
                TabView {
                    MessagesView(state: sample.chat, say: sample.say)
                        .onDisappear(perform: sample.leave)
                        .tabItem { Label("Messages", systemImage: "bubble.left.and.bubble.right") }
                    ModelView(state: sample.model)
                        .tabItem { Label("Model", systemImage: "cpu") }
                }
                .task { await sample.open() }
                .onChange(of: phase) { sample.isActive($0 == .active) }
            }
        }
    }
#endif
