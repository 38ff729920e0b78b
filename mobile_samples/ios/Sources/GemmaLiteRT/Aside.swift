import Foundation

/// Runs a call that blocks on a thread where it may: Swift's own threads are as few as the processor's cores.
func aside<Result: Sendable>(_ call: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { waiting in
        DispatchQueue.global(qos: .userInitiated).async {
            waiting.resume(with: Swift.Result(catching: call))
        }
    }
}

/// The same for a call that does not fail.
func aside(_ call: @escaping @Sendable () -> Void) async {
    await withCheckedContinuation { waiting in
        DispatchQueue.global(qos: .userInitiated).async {
            call()
            waiting.resume()
        }
    }
}
