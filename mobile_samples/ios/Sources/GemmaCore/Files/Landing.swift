import Foundation

/// Where a model file is put together: bytes gather in a `.part` beside the `target`, and only a whole and right file
/// gets the target's name. So the target is right or absent.
///
/// The part's name holds the SHA-256 that is wanted: the part of another version is not gone on with, it is deleted.
struct Landing: Sendable {
    static let suffix = ".part"
    /// Bytes that stay free: a full disk makes everything else on the phone fail.
    static let reserve: Int64 = 32 * 1024 * 1024

    let target: URL
    let want: BundleFile
    let part: URL
    private let folder: URL
    private let space: FreeSpace
    private let progress: ProgressHandler

    init(_ target: URL, _ want: BundleFile, _ space: FreeSpace, _ progress: @escaping ProgressHandler) {
        self.target = target
        self.want = want
        self.space = space
        self.progress = progress
        folder = target.deletingLastPathComponent()
        part = folder.appendingPathComponent("\(target.lastPathComponent).\(want.sha256.prefix(16))\(Landing.suffix)")
    }

    /// Makes room for the file.
    ///
    /// - Returns: whether the right file is there already. A wrong one is deleted.
    func prepare() throws -> Bool {
        if !Disk.isFolder(folder) {
            do {
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            } catch {
                throw storage("The folder \(folder.lastPathComponent) cannot be made.")
            }
        }
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        where name.hasPrefix(target.lastPathComponent + ".") && name.hasSuffix(Landing.suffix)
            && name != part.lastPathComponent
        {
            Disk.remove(folder.appendingPathComponent(name))
        }
        if Disk.exists(target) {
            if try isRight(target) {
                Disk.remove(part)
                return true
            }
            guard Disk.remove(target) else {
                throw storage("A damaged \(target.lastPathComponent) cannot be deleted.")
            }
        }
        if received > want.bytes { Disk.remove(part) }
        try checkSpace()
        return false
    }

    /// Bytes of the part.
    var received: Int64 { Disk.size(part) }

    func checkSpace() throws {
        let need = want.bytes - received + Landing.reserve
        let free = space.bytes(in: folder)
        if free < need {
            let message = "\(Size.of(need)) of free storage are needed, \(Size.of(free)) are free."
            throw TransferError(trouble: .noSpace, message: message)
        }
    }

    /// Opens the part to go on at its end, or from nothing.
    func open(append: Bool) throws -> OpenFile {
        do {
            return try OpenFile.writing(part, append: append)
        } catch {
            throw storage("\(part.lastPathComponent) cannot be written.")
        }
    }

    /// Writes a piece at the end of the file, which then has `done` bytes.
    func write(_ file: OpenFile, _ bytes: UnsafeRawBufferPointer, done: Int64) throws {
        do {
            try file.write(bytes)
        } catch let error as DiskError where error.isFull || space.bytes(in: folder) < bytes.count {
            throw TransferError(trouble: .noSpace, message: "The storage is full.")
        } catch {
            throw storage("Writing to the storage failed.")
        }
        progress(.transfer, done, want.bytes)
    }

    func sync(_ file: OpenFile) throws {
        do {
            try file.sync()
        } catch {
            throw storage("Writing to the storage failed.")
        }
    }

    /// Checks the whole part and gives it its name; a wrong one is deleted.
    func finish() throws {
        guard try isRight(part) else {
            throw refused("The file is not the model: it has another SHA-256 than the manifest says.")
        }
        guard Disk.rename(part, to: target) else { throw storage("\(part.lastPathComponent) cannot be renamed.") }
    }

    /// Deletes what came; the error says why.
    func refused(_ message: String) -> TransferError {
        Disk.remove(part)
        return TransferError(trouble: .wrongFile, message: message)
    }

    private func isRight(_ file: URL) throws -> Bool {
        guard Disk.size(file) == want.bytes else { return false }
        do {
            // From the storage and not from what was received: so the storage is checked as well.
            let found = try Digest.sha256(file: file) { done in
                try TransferError.checkCancelled()
                progress(.check, done, want.bytes)
            }
            return found == want.sha256
        } catch let error as TransferError {
            throw error
        } catch {
            throw storage("\(file.lastPathComponent) cannot be read.")
        }
    }

    private func storage(_ message: String) -> TransferError {
        TransferError(trouble: .storage, message: message)
    }
}
