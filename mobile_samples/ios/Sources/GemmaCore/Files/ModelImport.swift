import Foundation

/// Takes a model from a file, for instance one that the user picked or one inside the app's package.
public enum ModelImport {
    /// Copies `source` to `target`. The target is right or absent afterwards, and nothing else is left.
    ///
    /// What the system asks for before `source` may be read (security-scoped access, a coordinator that brings the file
    /// from a cloud) is the caller's. Cancelling the task ends the copy.
    ///
    /// - Throws: `TransferError`; what to tell the user is its message.
    public static func copy(
        from source: URL, to target: URL, want: BundleFile, space: FreeSpace = .ofDisk,
        progress: @escaping ProgressHandler = { _, _, _ in }
    ) async throws {
        let landing = Landing(target, want, space, progress)
        // Before anything is deleted: the source may be the target.
        guard let stream = try? OpenFile.reading(source) else { throw unreadable() }
        Disk.remove(landing.part)
        if try landing.prepare() { return }
        defer { Disk.remove(landing.part) }  // an import begins anew
        try gather(stream, landing)
        try landing.finish()
    }

    private static func gather(_ stream: OpenFile, _ landing: Landing) throws {
        let total = landing.want.bytes
        let file = try landing.open(append: false)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Digest.buffer, alignment: 16)
        defer { buffer.deallocate() }
        var done: Int64 = 0
        while true {
            try TransferError.checkCancelled()
            guard let count = try? stream.read(into: buffer) else { throw unreadable() }
            if count == 0 { break }
            done += Int64(count)
            guard done <= total else {
                throw landing.refused("The file is not the model: it is longer than \(Size.of(total)).")
            }
            try landing.write(file, UnsafeRawBufferPointer(rebasing: buffer[..<count]), done: done)
        }
        try landing.sync(file)
        guard done == total else {
            throw landing.refused("The file is not the model: it has \(done) bytes and should have \(total).")
        }
    }

    private static func unreadable() -> TransferError {
        TransferError(trouble: .storage, message: "The file cannot be read.")
    }
}
