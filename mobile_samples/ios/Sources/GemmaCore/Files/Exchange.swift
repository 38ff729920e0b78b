import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// One request and what comes back, piece by piece, as it is asked for.
///
/// A body is never held whole: `mostPending` bytes wait to be taken, then the session's queue stands still and with it
/// the connection.
final class Exchange: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    enum Event: Sendable {
        case reply(Reply)
        case bytes(Data)
        case end
    }

    static let mostPending = 1 << 20

    private let stall: Duration
    private let clock = SuspendingClock()
    private let timer = DispatchSource.makeTimerSource(queue: .global())

    /// Set once, before the request begins.
    private var session: URLSession?

    /// Guards all below.
    private let condition = NSCondition()
    private var events: [Result<Event, any Error>] = []
    private var pending = 0
    private var waiting: CheckedContinuation<Event, any Error>?
    private var waitingSince: SuspendingClock.Instant
    /// Why nothing more is handed out.
    private var over: (any Error)?

    /// Begins the request.
    ///
    /// - Parameter stall: how long `next` waits.
    init(_ request: URLRequest, stall: Duration) {
        self.stall = stall
        waitingSince = clock.now
        super.init()
        let configuration = URLSessionConfiguration.ephemeral
        configuration.urlCache = nil
        configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
        configuration.httpCookieStorage = nil
        configuration.httpShouldSetCookies = false
        configuration.urlCredentialStorage = nil
        let patience = 60 + 2 * Double(stall.components.seconds)  // the stall is noticed here, and not by the session
        configuration.timeoutIntervalForRequest = patience
        let made = URLSession(configuration: configuration, delegate: self, delegateQueue: DelegateQueue())
        session = made
        made.dataTask(with: request).resume()
        watch()
    }

    /// The next event: the reply, its bytes, the end.
    ///
    /// - Throws: the connection's error; `Retry` after a stall; `TransferError.cancelled` at once when the task is.
    func next() async throws -> Event {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { hand(to: $0) }
        } onCancel: {
            end(TransferError.cancelled)
        }
    }

    /// Drops the connection and what was not taken. To be called at last, once or more.
    func close() {
        end(TransferError.cancelled)
    }

    private func hand(to asker: CheckedContinuation<Event, any Error>) {
        condition.lock()
        let found: Result<Event, any Error>
        if let over {
            found = .failure(over)
        } else if !events.isEmpty {
            found = events.removeFirst()
            if case .success(.bytes(let data)) = found { pending -= data.count }
            condition.signal()
        } else {
            waiting = asker
            waitingSince = clock.now
            condition.unlock()
            return
        }
        condition.unlock()
        asker.resume(with: found)
    }

    /// Blocks the session's queue while too much waits to be taken.
    private func put(_ event: Result<Event, any Error>, size: Int = 0) {
        condition.lock()
        while pending > 0, pending + size > Exchange.mostPending, over == nil { condition.wait() }
        let asker = waiting
        waiting = nil
        if asker == nil, over == nil {
            events.append(event)
            pending += size
        }
        condition.unlock()
        asker?.resume(with: event)
    }

    private func end(_ error: any Error) {
        condition.lock()
        let asker = waiting
        let first = over == nil
        waiting = nil
        if first { over = error }
        events = []
        pending = 0
        condition.broadcast()
        condition.unlock()
        asker?.resume(throwing: error)
        guard first else { return }
        timer.cancel()
        session?.invalidateAndCancel()  // the session lets go of its delegate
    }

    private func watch() {
        let (seconds, attoseconds) = stall.components
        let nanoseconds = Double(seconds) * 1e9 + Double(attoseconds) / 1e9
        let step = DispatchTimeInterval.nanoseconds(Int(min(max(nanoseconds / 8, 1e7), 1e9)))
        timer.schedule(deadline: .now() + step, repeating: step)
        timer.setEventHandler { [weak self] in self?.look() }
        timer.resume()
    }

    private func look() {
        condition.lock()
        let stalled = waiting != nil && clock.now - waitingSince >= stall
        condition.unlock()
        if stalled { end(Retry("nothing came for \(stall)")) }
    }

    // The Objective-C names stand here so that the system finds the methods whatever it thinks of their closures.

    #if canImport(ObjectiveC)
        @objc(URLSession:dataTask:didReceiveResponse:completionHandler:)
    #endif
    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping @Sendable (URLSession.ResponseDisposition) -> Void
    ) {
        if let response = response as? HTTPURLResponse { put(.success(.reply(Reply(response)))) }
        completionHandler(.allow)
    }

    /// A redirect is answered as it stands: `Http` follows it, by rules of its own.
    #if canImport(ObjectiveC)
        @objc(URLSession:task:willPerformHTTPRedirection:newRequest:completionHandler:)
    #endif
    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping @Sendable (URLRequest?) -> Void
    ) {
        completionHandler(nil)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        put(.success(.bytes(data)), size: data.count)
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        if let error { put(.failure(error)) } else { put(.success(.end)) }
    }
}
