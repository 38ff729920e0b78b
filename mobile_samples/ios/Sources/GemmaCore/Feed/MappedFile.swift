import Foundation

/// A file mapped into memory: its pages come as they are read, and the system may drop them again.
final class MappedFile: Sendable {
    let name: String
    private let data: Data

    /// - Throws: `Refused`: it cannot be read.
    init(_ url: URL) throws {
        name = url.lastPathComponent
        do {
            data = try Data(contentsOf: url, options: .alwaysMapped)
        } catch {
            throw Refused("\(name) cannot be read: \(error.localizedDescription)")
        }
    }

    var count: Int { data.count }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try data.withUnsafeBytes(body)
    }
}
