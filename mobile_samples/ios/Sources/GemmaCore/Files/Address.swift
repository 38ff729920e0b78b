import Foundation

/// Where a model may come from.
public enum Address {
    /// - Throws: `TransferError` where it is no address over https or http.
    public static func parse(_ url: String) throws -> URL {
        guard let found = URL(string: url), let scheme = found.scheme?.lowercased() else {
            throw refused("\(Json.quoted(url)) is no address.")
        }
        guard scheme == "http" || scheme == "https" else {
            throw refused("A model comes over https or http, not \(scheme).")
        }
        guard found.host?.isEmpty == false else { throw refused("\(Json.quoted(url)) is no address.") }
        return found
    }

    /// Where a server's header `Location` leads to from an address.
    ///
    /// - Throws: `TransferError` where it leads from https to http, to another protocol, or nowhere.
    public static func follow(_ from: URL, _ to: String) throws -> URL {
        guard let next = URL(string: to, relativeTo: from)?.absoluteURL, let scheme = next.scheme?.lowercased() else {
            throw refused("The server redirects to no address.")
        }
        guard scheme == from.scheme?.lowercased() || scheme == "https" else {
            throw refused("The server redirects from \(from.scheme?.lowercased() ?? "") to \(scheme).")
        }
        guard next.host?.isEmpty == false else { throw refused("The server redirects to no address.") }
        return next
    }

    private static func refused(_ message: String) -> TransferError {
        TransferError(trouble: .server, message: message)
    }
}
