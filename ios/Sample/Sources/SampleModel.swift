#if canImport(SwiftUI)
    import Kinglet
    import SwiftUI

    /// Holds the model for as long as the app runs.
    @MainActor
    final class SampleModel: ObservableObject {
        @Published private(set) var chat = Chat.State()
        @Published private(set) var model = ModelState()
        private var conversation: Chat?
        private var opened: KingletModel?
        private var governor: KingletGovernor?

        /// Opens the shipped model out of the app's bundle.
        func open() async {
            guard opened == nil else { return }
            guard let folder = Bundle.main.url(forResource: "goldcrest", withExtension: nil) else {
                model.problem = "the app's bundle holds no folder goldcrest"
                return
            }
            let clock = ContinuousClock()
            let began = clock.now
            do {
                let opened = try await KingletModel.open(at: folder, options: OpenOptions(context: 512))
                let info = try await opened.info()
                model = ModelState(info: info, openSeconds: seconds(clock.now - began))
                governor = KingletGovernor(of: opened)
                self.opened = opened
                let conversation = Chat { [weak self] turns in
                    let began = clock.now
                    let replies = try await opened.smartReplies(to: turns)
                    await self?.took(seconds(clock.now - began))
                    return replies
                }
                conversation.changed = { [weak self] in self?.chat = $0 }
                self.conversation = conversation
            } catch {
                model.problem = error.localizedDescription
            }
        }

        func say(_ text: String) {
            conversation?.say(text)
        }

        func leave() {
            conversation?.leave()
        }

        /// The app has come to the front, or gone to the back, where answers wait.
        func isActive(_ active: Bool) {
            if active { opened?.resume() } else { opened?.pause() }
        }

        private func took(_ seconds: Double) {
            model.replySeconds = seconds
        }
    }

    private func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }
#endif
