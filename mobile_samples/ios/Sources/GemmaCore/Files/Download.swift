import Foundation

/// When a download gives up.
public struct DownloadPolicy: Sendable {
    /// Without a byte, after which the connection is made anew; also until it stands and the first answer comes.
    public var stall: Duration
    /// In a row that bring nothing.
    public var attempts: Int
    /// In all: a server that drops every connection after a byte shall not keep a phone awake for days.
    public var requests: Int
    /// Before the second attempt; doubled for each further one, up to `longestPause`.
    public var pause: Duration
    public var longestPause: Duration

    public init(
        stall: Duration = .seconds(30), attempts: Int = 8, requests: Int = 2_000,
        pause: Duration = .seconds(1), longestPause: Duration = .seconds(60)
    ) {
        self.stall = stall
        self.attempts = attempts
        self.requests = requests
        self.pause = pause
        self.longestPause = longestPause
    }
}

/// Downloads a model file over HTTP, goes on after a broken connection, and trusts nobody.
///
/// The target is right (size and SHA-256 of the manifest) or absent. What came so far stays in a `.part` beside it, for
/// the next call, unless it is known to be wrong; nothing else is left.
public struct Download: Sendable {
    private let policy: DownloadPolicy
    private let space: FreeSpace

    public init(policy: DownloadPolicy = .init(), space: FreeSpace = .ofDisk) {
        self.policy = policy
        self.space = space
    }

    /// Returns when the file is there. One call at a time for a target.
    ///
    /// Whoever cancels the task ends it at once, also while a server is silent; the part stays.
    ///
    /// - Throws: `TransferError`; what to tell the user is its message.
    public func fetch(
        _ url: String, to target: URL, want: BundleFile, progress: @escaping ProgressHandler = { _, _, _ in }
    ) async throws {
        let landing = Landing(target, want, space, progress)
        defer { if landing.received == 0 { Disk.remove(landing.part) } }
        if try landing.prepare() { return }
        var transfer = Transfer(url: url, landing: landing, policy: policy, progress: progress)
        try await transfer.run()
        try landing.finish()
    }
}
