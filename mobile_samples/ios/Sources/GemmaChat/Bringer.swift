import Foundation
import GemmaCore

/// The ways in which files come that are not here.
struct Bringer: Sendable {
    typealias Fetch = @Sendable (
        _ file: BundleFile, _ target: URL, _ progress: @escaping ProgressHandler
    ) async throws -> Void

    /// A folder on a server; empty where there is none.
    let url: String
    let downloader: any Downloader
    let space: FreeSpace

    /// What can be offered.
    var sources: [Action] { url.isEmpty ? [.choose] : [.download, .choose] }

    /// From the server: the files lie there as they do in the bundle.
    var download: Fetch {
        let base = url.hasSuffix("/") ? url : url + "/", downloader = downloader
        return { file, target, progress in
            try await downloader.fetch(base + file.name, to: target, want: file, progress: progress)
        }
    }

    /// From a folder on the device.
    func copying(_ folder: URL) -> Fetch {
        let space = space
        return { file, target, progress in
            let source = folder.appendingPathComponent(file.name)
            guard FileManager.default.fileExists(atPath: source.path) else {
                throw TransferError(trouble: .wrongFile, message: "There is no \(file.name) in the folder.")
            }
            try await ModelImport.copy(from: source, to: target, want: file, space: space, progress: progress)
        }
    }
}
