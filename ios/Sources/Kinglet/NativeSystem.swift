internal import KingletFFI

/// The app's system model on the native side. Answers run in tasks that nobody waits for.
final class NativeSystem: KingletFFI.SystemModel {
    private let model: any SystemModel

    init(_ model: any SystemModel) {
        self.model = model
    }

    func name() -> String {
        model.name
    }

    func availability() -> KingletFFI.SystemAvailability {
        switch model.availability {
        case .available: .available
        case .downloadable: .downloadable
        case .downloading: .downloading
        case .deviceNotEligible: .notEligible
        case .switchedOff: .switchedOff
        case .modelNotReady: .notReady
        case .needsUpdate: .needsUpdate
        case .unknown(let message): .unknown(message: message)
        }
    }

    func respond(request: KingletFFI.SystemRequest, answer: SystemAnswer) {
        let request = SystemRequest(request)
        let answering = Task { [model] in
            do {
                for try await piece in model.respond(to: request) where !answer.push(text: piece) {
                    return
                }
                answer.finish(atLimit: false)
            } catch let error as SystemModelError {
                answer.fail(failure: error.native)
            } catch is CancellationError {
                answer.fail(failure: .cancelled)
            } catch {
                answer.fail(failure: .failed(message: "the app's adapter threw \(type(of: error))"))
            }
        }
        // Without a new piece nothing would say that nobody listens.
        Task {
            while !answer.isCancelled() {
                try await Task.sleep(nanoseconds: 50_000_000)
            }
            answering.cancel()
        }
    }

    func download(download: SystemDownload) {
        download.fail(failure: .unsupported(message: "the app has it downloaded by itself"))
    }

    func prewarm(instructions: String?) {
        model.prewarm(instructions: instructions)
    }
}

extension SystemPolicy {
    var native: KingletFFI.SystemPolicy {
        switch self {
        case .prefer: .prefer
        case .fallback: .fallback
        }
    }
}

extension SystemModelError {
    fileprivate var native: SystemFailure {
        switch self {
        case .refused(let message): .refused(message: message)
        case .contextTooLong(let message): .contextTooLong(message: message)
        case .busy(let message): .busy(message: message)
        case .unavailable(let message): .unavailable(message: message)
        case .unsupported(let message): .unsupported(message: message)
        case .failed(let message): .failed(message: message)
        }
    }
}

extension SystemRequest {
    init(_ request: KingletFFI.SystemRequest) {
        self.init(
            instructions: request.instructions, messages: request.messages.map(Message.init),
            maximumResponseTokens: Int(request.maxNewTokens), temperature: request.temperature,
            topK: request.topK.map { Int($0) }, topP: request.topP, seed: request.seed)
    }
}
