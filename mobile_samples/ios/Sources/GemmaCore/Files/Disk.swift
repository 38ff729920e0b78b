import Foundation

/// Files by the system's own calls: their errors say what failed, and nothing is held back in a buffer.
enum Disk {
    /// Bytes of a file; 0 where there is none.
    static func size(_ file: URL) -> Int64 {
        var found = stat()
        return stat(file.path, &found) == 0 ? Int64(found.st_size) : 0
    }

    static func exists(_ file: URL) -> Bool {
        access(file.path, F_OK) == 0
    }

    static func isFolder(_ file: URL) -> Bool {
        var found = stat()
        return stat(file.path, &found) == 0 && found.st_mode & S_IFMT == S_IFDIR
    }

    /// Whether it was there and is gone. A folder stays.
    @discardableResult
    static func remove(_ file: URL) -> Bool {
        unlink(file.path) == 0
    }

    /// In one step: whoever looks sees the old state or the new one.
    static func rename(_ file: URL, to target: URL) -> Bool {
        #if canImport(Darwin)
            Darwin.rename(file.path, target.path) == 0
        #else
            Glibc.rename(file.path, target.path) == 0
        #endif
    }
}

/// A call of the system that failed.
struct DiskError: Error {
    let code: Int32

    /// The disk has no room left, or the user's share of it.
    var isFull: Bool { code == ENOSPC || code == EDQUOT }
}

/// An open file, closed at last when nobody holds it any more.
final class OpenFile: Sendable {
    private let descriptor: Int32

    private init(_ path: String, _ flags: Int32) throws {
        descriptor = open(path, flags | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw DiskError(code: errno) }
    }

    deinit {
        close(descriptor)
    }

    static func reading(_ file: URL) throws -> OpenFile {
        try OpenFile(file.path, O_RDONLY)
    }

    /// A new file or one that is emptied first; with `append` it goes on at its end.
    static func writing(_ file: URL, append: Bool) throws -> OpenFile {
        try OpenFile(file.path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC))
    }

    /// Fills the begin of `buffer`; returns how much, 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            #if canImport(Darwin)
                let count = Darwin.read(descriptor, buffer.baseAddress, buffer.count)
            #else
                let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            #endif
            if count >= 0 { return count }
            guard errno == EINTR else { throw DiskError(code: errno) }
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        var left = bytes[...]
        while !left.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: left)
            #if canImport(Darwin)
                let count = Darwin.write(descriptor, piece.baseAddress, piece.count)
            #else
                let count = Glibc.write(descriptor, piece.baseAddress, piece.count)
            #endif
            if count < 0 {
                guard errno == EINTR else { throw DiskError(code: errno) }
            } else {
                left = left.dropFirst(count)
            }
        }
    }

    /// Bytes on the disk, really: Apple's `fsync` leaves them in the drive's own memory. Not every disk has more.
    func sync() throws {
        #if canImport(Darwin)
            if fcntl(descriptor, F_FULLFSYNC) == 0 { return }
        #endif
        guard fsync(descriptor) == 0 else { throw DiskError(code: errno) }
    }
}
