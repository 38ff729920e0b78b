import Foundation

/// Runs work that calls itself deeply on a thread with room for it: the threads that tasks run on have 512 kB, which a
/// template of the allowed depth needs more than in a build for debugging.
enum Roomy {
    static let stackBytes = 4 << 20

    private final class Outcome<Value: Sendable>: @unchecked Sendable {
        // Written by the thread, and read after it has said that it is done.
        var result: Result<Value, any Error> = .failure(Refused("the work did not run"))
    }

    /// - Throws: what `work` throws.
    static func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) throws -> Value {
        let outcome = Outcome<Value>()
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            outcome.result = Result { try work() }
            done.signal()
        }
        thread.stackSize = stackBytes
        thread.qualityOfService = .userInitiated
        thread.start()
        done.wait()
        return try outcome.result.get()
    }
}
