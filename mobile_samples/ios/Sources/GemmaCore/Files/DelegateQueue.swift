import Foundation

/// The queue on which a session calls its delegate, one call after the other.
///
/// Apple's session waits for its delegate before it reads on, so a delegate that blocks slows the connection down. The
/// one of swift-corelibs-foundation does not: it puts every piece that comes onto this queue, so there the queue makes
/// it wait. (Suspending the task is no way there: it sends the request anew.)
final class DelegateQueue: OperationQueue, @unchecked Sendable {
    #if canImport(FoundationNetworking)
        private static let mostWaiting = 64
        private let room = DispatchSemaphore(value: DelegateQueue.mostWaiting)
    #endif

    override init() {
        super.init()
        maxConcurrentOperationCount = 1
    }

    #if canImport(FoundationNetworking)
        override func addOperation(_ block: @escaping @Sendable () -> Void) {
            // Called from one of its own operations it must not wait for them.
            guard OperationQueue.current !== self else { return super.addOperation(block) }
            room.wait()
            super.addOperation { [room] in
                block()
                room.signal()
            }
        }
    #endif
}
