import Foundation
import GemmaCore

/// A folder in which files of the bundle may lie.
public struct Place: Sendable {
    /// Stays the same when the system moves the folder.
    public let name: String
    public let folder: URL

    public init(_ name: String, _ folder: URL) {
        self.name = name
        self.folder = folder
    }
}

/// What the app is given by the phone; a test can stand in for it.
public protocol Phone: Sendable {
    /// Model and system, for a report.
    var name: String { get }

    /// The bundle's files inside the app: the manifest at least.
    var packed: Place { get }

    /// Other folders where the bundle may lie whole; files there are read and never changed.
    var shared: [Place] { get }

    /// Where what is downloaded or imported is kept.
    var storage: URL { get }

    /// Where people, and a Mac, find the report.
    var documents: URL { get }

    /// RAM in bytes: all of it, and what this app may still take.
    func memory() -> (total: Int64, available: Int64)

    /// Turns a picture of any kind that the device decodes into one that an engine reads, in `folder`.
    ///
    /// - Parameter images: how large the model wants it.
    /// - Throws: `PictureTrouble`; nothing of it is left.
    func picture(_ data: Data, _ images: Images, into folder: URL) throws -> Picture
}

/// Brings a file from a server: right or not at all, as `Download` does.
public protocol Downloader: Sendable {
    /// - Throws: `TransferError`.
    func fetch(_ url: String, to target: URL, want: BundleFile, progress: @escaping ProgressHandler) async throws
}

extension Download: Downloader {}
