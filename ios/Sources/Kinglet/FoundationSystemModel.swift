#if canImport(FoundationModels)
    import FoundationModels

    /// The language model of Apple Intelligence, by way of Foundation Models, for ``KingletModel``.
    @available(iOS 26.0, macOS 26.0, visionOS 26.0, *)
    public struct FoundationSystemModel: SystemModel {
        public init() {}

        public var name: String { "apple-intelligence" }

        public var availability: SystemAvailability {
            switch SystemLanguageModel.default.availability {
            case .available: .available
            case .unavailable(.deviceNotEligible): .deviceNotEligible
            case .unavailable(.appleIntelligenceNotEnabled): .switchedOff
            case .unavailable(.modelNotReady): .modelNotReady
            case .unavailable(let reason): .unknown(String(describing: reason))
            }
        }

        public func respond(to request: SystemRequest) -> AsyncThrowingStream<String, any Error> {
            AsyncThrowingStream { continuation in
                let task = Task {
                    do {
                        let session = LanguageModelSession(transcript: Transcript(entries: entries(before: request)))
                        var said = ""
                        // Snapshots hold all of the text so far.
                        for try await snapshot in session.streamResponse(to: asked(request), options: options(request)) {
                            let content = snapshot.content
                            continuation.yield(String(content.dropFirst(said.count)))
                            said = content
                        }
                        continuation.finish()
                    } catch {
                        continuation.finish(throwing: told(error))
                    }
                }
                continuation.onTermination = { _ in task.cancel() }
            }
        }

        public func prewarm(instructions: String?) {
            LanguageModelSession(instructions: instructions ?? "").prewarm()
        }

        /// All but the message that is to be answered.
        private func entries(before request: SystemRequest) -> [Transcript.Entry] {
            var entries: [Transcript.Entry] = []
            if let instructions = request.instructions {
                entries.append(.instructions(.init(segments: [text(instructions)], toolDefinitions: [])))
            }
            for message in request.messages.dropLast() {
                switch message.role {
                case "assistant": entries.append(.response(.init(assetIDs: [], segments: [text(message.content)])))
                case "system": entries.append(.instructions(.init(segments: [text(message.content)], toolDefinitions: [])))
                default: entries.append(.prompt(.init(segments: [text(message.content)])))
                }
            }
            return entries
        }

        private func text(_ content: String) -> Transcript.Segment {
            .text(.init(content: content))
        }

        private func asked(_ request: SystemRequest) -> String {
            request.messages.last?.content ?? ""
        }

        private func options(_ request: SystemRequest) -> FoundationModels.GenerationOptions {
            let sampling: FoundationModels.GenerationOptions.SamplingMode? =
                if request.temperature == 0 {
                    .greedy
                } else if let topK = request.topK {
                    .random(top: topK, seed: request.seed)
                } else if let topP = request.topP {
                    .random(probabilityThreshold: Double(topP), seed: request.seed)
                } else {
                    nil
                }
            return FoundationModels.GenerationOptions(
                sampling: sampling, temperature: request.temperature.flatMap { $0 > 0 ? Double($0) : nil },
                maximumResponseTokens: request.maximumResponseTokens)
        }

        private func told(_ error: any Error) -> any Error {
            guard let error = error as? LanguageModelSession.GenerationError else { return error }
            return switch error {
            case .guardrailViolation, .refusal: SystemModelError.refused("guardrails")
            case .exceededContextWindowSize: SystemModelError.contextTooLong("the context window")
            case .rateLimited, .concurrentRequests: SystemModelError.busy("its limit of requests")
            case .assetsUnavailable: SystemModelError.unavailable("its assets")
            case .unsupportedLanguageOrLocale, .unsupportedGuide: SystemModelError.unsupported("the language or the guide")
            default: SystemModelError.failed(String(describing: type(of: error)))
            }
        }
    }
#endif
