import Foundation

/// One download, which may take many requests.
struct Transfer {
    let url: String
    let landing: Landing
    let policy: DownloadPolicy
    let progress: ProgressHandler

    /// The server's name for the content that the part comes from; nil before the first answer.
    private var validator: String?

    init(url: String, landing: Landing, policy: DownloadPolicy, progress: @escaping ProgressHandler) {
        self.url = url
        self.landing = landing
        self.policy = policy
        self.progress = progress
    }

    private var total: Int64 { landing.want.bytes }

    /// Returns when the part is whole.
    mutating func run() async throws {
        var failures = 0
        var requests = 0
        while landing.received < total || !Disk.exists(landing.part) {
            try TransferError.checkCancelled()
            try landing.checkSpace()
            let before = landing.received
            requests += 1
            guard requests <= policy.requests else { throw network("The connection broke \(policy.requests) times.") }
            let why = try await attempt(at: before)
            failures = landing.received > before ? 0 : failures + 1
            if landing.received >= total, Disk.exists(landing.part) { break }
            guard failures < policy.attempts else {
                throw network("The connection failed \(policy.attempts) times in a row: \(why.message).")
            }
            try await rest(max(pause(failures), min(why.wait, policy.longestPause)))
        }
    }

    /// One request; returns what was wrong with it where another may help.
    private mutating func attempt(at offset: Int64) async throws -> Retry {
        do {
            try await request(offset)
            return Retry("it brought nothing")
        } catch let error as TransferError {
            throw error
        } catch let error as Retry {
            return error
        } catch {
            let message = error.localizedDescription
            return Retry(message.hasSuffix(".") ? String(message.dropLast()) : message)
        }
    }

    private func pause(_ failures: Int) -> Duration {
        min(policy.pause * (1 << min(failures, 16)), policy.longestPause)
    }

    private func rest(_ pause: Duration) async throws {
        do {
            try await Task.sleep(for: pause)
        } catch {
            throw TransferError.cancelled
        }
    }

    private mutating func request(_ offset: Int64) async throws {
        let (reply, exchange) = try await Http.get(url, offset: offset, validator: validator, stall: policy.stall)
        defer { exchange.close() }
        let append = try accept(reply, offset)
        validator = reply.validator
        let file = try landing.open(append: append)
        do {
            try await pour(exchange, into: file, from: append ? offset : 0)
        } catch {
            try landing.sync(file)
            throw error
        }
        try landing.sync(file)
    }

    /// Whether the body continues the part; false where it is the whole file.
    private func accept(_ reply: Reply, _ offset: Int64) throws -> Bool {
        guard reply.encoding == "identity" else {
            throw server("The server sends the file encoded as \(reply.encoding).")
        }
        switch reply.status {
        case 200:
            try checkLength(reply.length)
            return false
        case 206:
            guard offset > 0 else { throw server("The server sends a part (206) where the whole was asked for.") }
            try checkRange(reply, offset)
            return true
        case 416:
            // There is nothing at that offset: the file there is shorter, or another one.
            Disk.remove(landing.part)
            throw Retry("the server has less than was received")
        case 408, 425, 429, 500...599:
            throw Retry("the server answered \(reply.status)", wait: reply.retryAfter)
        default:
            throw server("The server answered \(reply.status).")
        }
    }

    private func checkLength(_ length: Int64?) throws {
        if let length, length != total {
            throw landing.refused("The file there is not the model: it has \(length) bytes and should have \(total).")
        }
    }

    private func checkRange(_ reply: Reply, _ offset: Int64) throws {
        guard let range = ContentRange(reply.range ?? "") else {
            throw server("The server sends a part without saying which.")
        }
        guard range.first == offset, range.last >= offset, range.last < total else {
            throw server(
                "The server sends bytes \(range.first) to \(range.last) where those from \(offset) were asked for.")
        }
        if let length = reply.length, length != range.last - offset + 1 {
            throw server("The server sends \(length) bytes and says that they are \(range.first) to \(range.last).")
        }
        try checkLength(range.whole)
    }

    private func pour(_ exchange: Exchange, into file: OpenFile, from begin: Int64) async throws {
        var done = begin
        progress(.transfer, done, total)
        while true {
            switch try await exchange.next() {
            case .reply:
                continue
            case .end:
                return
            case .bytes(let data):
                done += Int64(data.count)
                guard done <= total else {
                    throw landing.refused("The file there is not the model: it is longer than \(total) bytes.")
                }
                try data.withUnsafeBytes { try landing.write(file, $0, done: done) }
            }
        }
    }

    private func network(_ message: String) -> TransferError {
        TransferError(trouble: .network, message: message)
    }

    private func server(_ message: String) -> TransferError {
        TransferError(trouble: .server, message: message)
    }
}
