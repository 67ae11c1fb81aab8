import Dispatch
internal import KingletFFI

/// Runs blocking native code on a thread of its own, so that the threads that tasks share stay free.
func blocking<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async {
            continuation.resume(with: Result { try native(work) })
        }
    }
}

/// As ``blocking(_:)``, for work that the task's cancellation ends in the middle.
func cancellable<T: Sendable>(_ work: @escaping @Sendable (Cancellation) throws -> T) async throws -> T {
    let cancellation = Cancellation()
    return try await withTaskCancellationHandler {
        try await blocking { try work(cancellation) }
    } onCancel: {
        cancellation.cancel()
    }
}
