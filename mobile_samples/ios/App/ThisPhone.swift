import Foundation
import GemmaChat
import GemmaCore
import UIKit
import os

/// The phone as the app sees it.
struct ThisPhone: Phone {
    let name: String
    let packed = Place("app", Bundle.main.bundleURL.appending(path: "bundle"))
    /// Finder, Files and `devicectl` can put a whole bundle there.
    let shared = [Place("documents", URL.documentsDirectory.appending(path: "bundle"))]
    let storage: URL
    let documents = URL.documentsDirectory

    @MainActor
    init() {
        name = "\(ThisPhone.model), \(UIDevice.current.systemName) \(UIDevice.current.systemVersion)"
        var folder = URL.applicationSupportDirectory.appending(path: "model")
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        // It can be downloaded again, and would fill a backup.
        var values = URLResourceValues()
        values.isExcludedFromBackup = true
        try? folder.setResourceValues(values)
        storage = folder
    }

    /// With the entitlement for more memory the system says here what the app may take, which is less than there is.
    func memory() -> (total: Int64, available: Int64) {
        (Int64(clamping: ProcessInfo.processInfo.physicalMemory), ThisPhone.available)
    }

    static var available: Int64 { Int64(os_proc_available_memory()) }

    func picture(_ data: Data, _ images: Images, into folder: URL) throws -> Picture {
        try Photos.read(data, images, into: folder, available: ThisPhone.available)
    }

    /// As the maker counts, for instance "iPhone17,1".
    private static var model: String {
        var system = utsname()
        uname(&system)
        return withUnsafeBytes(of: &system.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
