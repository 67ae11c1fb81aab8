import Foundation
internal import KingletFFI

/// Why something was not done. Each case is another thing for the caller to do; its text is one sentence that says what.
///
/// A cancelled task ends with `CancellationError`, as any other, and not with this.
public enum KingletError: Error, Equatable, Sendable {
    /// There is no model where it was looked for: correct the path, or put the model there.
    case notFound(String)
    /// The model's files are damaged or incomplete: get them again.
    case badModel(String)
    /// This build does not run the model, or the model cannot do what was asked: take another one.
    case unsupported(String)
    /// The request makes no sense for this model: correct it.
    case invalidRequest(String)
    /// Exceeds the memory budget, or what the system gives: raise the budget, ask for less, or take a smaller model.
    case outOfMemory(String)
    /// A folder takes nothing: make room there or name another one.
    case storage(String)
    /// The system's model is not there: ask the user to switch it on, or answer without it.
    case unavailable(String)
    /// The guardrails of the system's model refuse the request or its answer: ask for something else.
    case refused(String)
    /// No request is possible now: wait until the session's answer is complete, or cancel it; or ask the system's model later.
    case busy(String)
    /// The model or session was closed: open another one.
    case closed(String)
    /// The engine or the operating system failed: try again; if it fails again, report it.
    case failed(String)

    /// The sentence.
    public var message: String {
        switch self {
        case .notFound(let said), .badModel(let said), .unsupported(let said), .invalidRequest(let said), .outOfMemory(let said),
            .storage(let said), .unavailable(let said), .refused(let said), .busy(let said), .closed(let said), .failed(let said):
            said
        }
    }
}

extension KingletError: LocalizedError {
    public var errorDescription: String? { message }
}

/// An error of the generated module in this module's words.
func translated(_ error: any Error) -> any Error {
    guard let error = error as? KingletFFI.KingletError else { return error }
    return switch error {
    case .NotFound(let said): KingletError.notFound(said)
    case .BadModel(let said): KingletError.badModel(said)
    case .Unsupported(let said): KingletError.unsupported(said)
    case .InvalidRequest(let said): KingletError.invalidRequest(said)
    case .OutOfMemory(let said): KingletError.outOfMemory(said)
    case .Storage(let said): KingletError.storage(said)
    case .Unavailable(let said): KingletError.unavailable(said)
    case .Refused(let said): KingletError.refused(said)
    case .Busy(let said): KingletError.busy(said)
    case .Closed(let said): KingletError.closed(said)
    case .Failed(let said): KingletError.failed(said)
    case .Cancelled: CancellationError()
    }
}

/// Runs native code, and says its errors in this module's words.
func native<T>(_ call: () throws -> T) throws -> T {
    do {
        return try call()
    } catch {
        throw translated(error)
    }
}
