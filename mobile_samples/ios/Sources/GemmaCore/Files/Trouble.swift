import Foundation

/// Why a model did not arrive.
public enum Trouble: String, Sendable, CaseIterable {
    /// The disk is too full; nothing was written or what was written is kept to go on from.
    case noSpace = "NO_SPACE"
    /// No connection, or it broke too often. Try again: it goes on where it was.
    case network = "NETWORK"
    /// The server refuses, or answers what it must not.
    case server = "SERVER"
    /// The file there has another length or another SHA-256 than the manifest says: it is not the model.
    case wrongFile = "WRONG_FILE"
    /// The device's storage failed.
    case storage = "STORAGE"
    case cancelled = "CANCELLED"
}

/// A download, an import or a test that did not end well; the message is for people.
public struct TransferError: Error, Equatable, CustomStringConvertible {
    public let trouble: Trouble
    public let message: String

    public init(trouble: Trouble, message: String) {
        self.trouble = trouble
        self.message = message
    }

    public var description: String { message }

    public static let cancelled = TransferError(trouble: .cancelled, message: "Cancelled.")

    /// - Throws: `TransferError.cancelled` when the current task was cancelled.
    public static func checkCancelled() throws {
        if Task.isCancelled { throw cancelled }
    }
}

/// What is being done with the bytes.
public enum Phase: String, Sendable {
    case transfer, check
}

/// Told about progress: bytes done and bytes in all, after each piece, on the working task.
public typealias ProgressHandler = @Sendable (_ phase: Phase, _ done: Int64, _ total: Int64) -> Void

/// Free bytes in a folder.
public struct FreeSpace: Sendable {
    private let bytes: @Sendable (_ folder: URL) -> Int64

    public init(_ bytes: @escaping @Sendable (_ folder: URL) -> Int64) {
        self.bytes = bytes
    }

    public func bytes(in folder: URL) -> Int64 {
        bytes(folder)
    }

    /// What the system says; 0 where it says nothing. On Apple's systems space counts that the system frees on demand.
    public static let ofDisk = FreeSpace { folder in
        #if canImport(Darwin)
            let key = URLResourceKey.volumeAvailableCapacityForImportantUsageKey
            let values = try? folder.resourceValues(forKeys: [key])
            let purgeable = values?.volumeAvailableCapacityForImportantUsage ?? 0
        #else
            let purgeable: Int64 = 0
        #endif
        var found = statvfs()
        guard statvfs(folder.path, &found) == 0 else { return purgeable }
        let blocks = Int64(clamping: found.f_bavail)
        let (bytes, over) = blocks.multipliedReportingOverflow(by: Int64(clamping: found.f_frsize))
        return max(purgeable, over ? Int64.max : bytes)
    }
}
