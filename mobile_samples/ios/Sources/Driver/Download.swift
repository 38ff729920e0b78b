import Foundation
import GemmaCore

// The files side of the core: downloads, imports, digests; and what is checked before a model is loaded.

let downloadCommands: [String: Command] = [
    "fetch": fetch,
    "import": importFile,
    "redirect": {
        let next = try Address.follow(try Address.parse(try $0.text("url")), try $0.text("to"))
        return .object(["url": .text(next.absoluteString)])
    },
    "digest": { .object(["sha256": .text(try Digest.sha256(file: URL(fileURLWithPath: $0.text("file"))) { _ in })]) },
    "digest_pieces": digestPieces,
    "digest_tokens": { .object(["sha256": .text(Digest.tokens(try $0.int32s("tokens")))]) },
    "digest_step": { .object(["digest": .text(Digest.step(try $0.int32s("tokens"), try $0.numbers("logits")))]) },
    "memory": memory,
    "harmless": { .object(["value": ControlTokens.harmless(try $0.json("value"))]) },
    "size": { .object(["text": .text(Size.of(try $0.integer("bytes")))]) },
    "free": { .object(["bytes": .integer(FreeSpace.ofDisk.bytes(in: URL(fileURLWithPath: try $0.text("folder"))))]) },
]

/// Downloads `url` to `target`, which is to have `bytes` and `sha256`; `attempts`, `requests` and `stall`
/// (milliseconds) are the policy, `free` the bytes on the disk. The task is cancelled when `cancel_at` bytes are there,
/// from within the progress or, where `cancel_after` is not negative, so many milliseconds later by another task.
/// `slow` milliseconds are spent in each progress.
@Sendable private func fetch(_ asked: Fields) async throws -> Json {
    let policy = DownloadPolicy(
        stall: .milliseconds(try asked.integer("stall")), attempts: try asked.count("attempts"),
        requests: try asked.count("requests"), pause: .milliseconds(1), longestPause: .milliseconds(20))
    let url = try asked.text("url")
    let (target, want) = try landing(asked)
    let slow = asked.has("slow") ? try asked.count("slow") : 0
    return try await transfer(asked) { space, progress in
        try await Download(policy: policy, space: space).fetch(url, to: target, want: want) { phase, done, total in
            if slow > 0, phase == .transfer { usleep(UInt32(slow) * 1_000) }
            progress(phase, done, total)
        }
    }
}

/// Copies `source` to `target`; the rest as in `fetch`.
@Sendable private func importFile(_ asked: Fields) async throws -> Json {
    let (target, want) = try landing(asked)
    let source = URL(fileURLWithPath: try asked.text("source"))
    return try await transfer(asked) { space, progress in
        try await ModelImport.copy(from: source, to: target, want: want, space: space, progress: progress)
    }
}

private func landing(_ asked: Fields) throws -> (URL, BundleFile) {
    let target = URL(fileURLWithPath: try asked.text("target"))
    let want = BundleFile(
        name: target.lastPathComponent, bytes: try asked.integer("bytes"), sha256: try asked.sha256("sha256"))
    return (target, want)
}

/// Runs a transfer in a task of its own and tells how it ended.
private func transfer(
    _ asked: Fields, _ work: @escaping @Sendable (FreeSpace, @escaping ProgressHandler) async throws -> Void
) async throws -> Json {
    let (cancelAt, cancelAfter) = (try asked.integer("cancel_at"), try asked.integer("cancel_after"))
    let free = try asked.integer("free")
    let space = FreeSpace { folder in
        let files = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
        return (files ?? []).reduce(free) { left, name in
            let found = try? FileManager.default.attributesOfItem(atPath: folder.path + "/" + name)
            return left - ((found?[.size] as? NSNumber)?.int64Value ?? 0)
        }
    }
    let run = Run()
    let task = Task {
        try await work(space) { phase, done, _ in
            let first = run.saw(done, reaches: phase == .transfer && cancelAt >= 0 ? cancelAt : nil)
            if first, cancelAfter < 0 {
                withUnsafeCurrentTask { $0?.cancel() }
            } else if first {
                Task {
                    try await Task.sleep(for: .milliseconds(cancelAfter))
                    run.task?.cancel()
                }
            }
        }
    }
    run.task = task
    let (trouble, message): (String, String)
    do {
        try await task.value
        (trouble, message) = ("", "")
    } catch let error as TransferError {
        (trouble, message) = (error.trouble.rawValue, error.message)
    } catch {
        (trouble, message) = ("BUG", "\(error)")
    }
    return .object(["trouble": .text(trouble), "message": .text(message), "most": .integer(run.most)])
}

/// What was seen of a transfer.
private final class Run: @unchecked Sendable {
    private let lock = NSLock()
    private var bytes: Int64 = 0
    private var reached = false
    private var running: Task<Void, any Error>?

    var most: Int64 { lock.withLock { bytes } }

    var task: Task<Void, any Error>? {
        get { lock.withLock { running } }
        set { lock.withLock { running = newValue } }
    }

    /// Whether `mark` is reached for the first time.
    func saw(_ done: Int64, reaches mark: Int64?) -> Bool {
        lock.withLock {
            bytes = max(bytes, done)
            guard let mark, done >= mark, !reached else { return false }
            reached = true
            return true
        }
    }
}

/// Of a file's bytes, handed over in pieces of the sizes in `pieces`, over and over.
@Sendable private func digestPieces(_ asked: Fields) async throws -> Json {
    let data = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try asked.text("file"))))
    let sizes = try asked.counts("pieces")
    var hash = Sha256()
    var (begin, turn) = (0, 0)
    while begin < data.count {
        let end = min(begin + sizes[turn % sizes.count], data.count)
        data[begin..<end].withUnsafeBytes { hash.update($0) }
        (begin, turn) = (end, turn + 1)
    }
    return .object(["sha256": .text(Digest.hex(hash.finish()))])
}

@Sendable private func memory(_ asked: Fields) async throws -> Json {
    let need = MemoryNeed(
        mappedWeights: try asked.integer("weights"), mappedEmbeddings: try asked.integer("embeddings"),
        kvCache: try asked.integer("cache"))
    let found = MemoryCheck.check(need, total: try asked.integer("total"), available: try asked.integer("available"))
    return .object([
        "verdict": .text(found.verdict.rawValue), "need": .integer(found.need), "message": .text(found.message),
    ])
}
