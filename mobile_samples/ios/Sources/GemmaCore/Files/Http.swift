import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// What a server says before the body.
struct Reply: Sendable {
    let status: Int
    /// Bytes of the body; nil where the server does not say.
    let length: Int64?
    let range: String?
    let encoding: String
    /// A strong name of the content; nil where the server gives none.
    let validator: String?
    /// How long the server asks to wait; 0 where it does not, or gives a date.
    let retryAfter: Duration
    let location: String?

    init(_ response: HTTPURLResponse) {
        func header(_ name: String) -> String? {
            response.value(forHTTPHeaderField: name)?.trimmingCharacters(in: .whitespaces)
        }
        status = response.statusCode
        length = header("Content-Length").flatMap { Int64($0) }.flatMap { $0 < 0 ? nil : $0 }
        range = header("Content-Range")
        encoding = header("Content-Encoding")?.lowercased() ?? "identity"
        validator = header("ETag").flatMap { $0.hasPrefix("\"") ? $0 : nil }
        retryAfter = .seconds(min(max(header("Retry-After").flatMap { Int64($0) } ?? 0, 0), 3600))
        location = header("Location")
    }
}

/// After this the same request may succeed.
struct Retry: Error {
    let message: String
    let wait: Duration

    init(_ message: String, wait: Duration = .zero) {
        self.message = message
        self.wait = wait
    }
}

/// Asks for a file, redirects followed.
enum Http {
    static let redirects = 5

    /// - Parameters:
    ///   - offset: of the first byte that is wanted; above 0 it is a Range request.
    ///   - validator: of the content that the bytes before `offset` come from: other content is sent whole.
    ///   - stall: how long a server may be silent.
    /// - Returns: the reply, and the exchange whose next events are its body; the caller closes it.
    /// - Throws: `TransferError`: the server does what it must not, or the task was cancelled; any other error: the
    ///   connection failed, which is worth another attempt.
    static func get(
        _ url: String, offset: Int64, validator: String?, stall: Duration
    ) async throws -> (Reply, Exchange) {
        var address = try Address.parse(url)
        for _ in 0...redirects {
            let exchange = Exchange(request(address, offset, validator), stall: stall)
            do {
                guard case .reply(let reply) = try await exchange.next() else {
                    throw Retry("the connection ended without an answer")
                }
                guard [301, 302, 303, 307, 308].contains(reply.status), let to = reply.location else {
                    return (reply, exchange)
                }
                address = try Address.follow(address, to)
                exchange.close()
            } catch {
                exchange.close()
                throw error
            }
        }
        throw TransferError(trouble: .server, message: "The server redirects more than \(redirects) times.")
    }

    private static func request(_ address: URL, _ offset: Int64, _ validator: String?) -> URLRequest {
        var request = URLRequest(url: address)
        request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
        if offset > 0 {
            request.setValue("bytes=\(offset)-", forHTTPHeaderField: "Range")
            if let validator { request.setValue(validator, forHTTPHeaderField: "If-Range") }
        }
        return request
    }
}
