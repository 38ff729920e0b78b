import Foundation
internal import CLiteRTLM

/// A piece of an answer as the engine sends it, or why it failed; nothing comes after the last one.
struct Chunk: Sendable {
    let text: String
    let failed: Bool
    let last: Bool
}

/// Where the engine's threads leave their chunks: that never blocks, and nothing else happens on those threads. The
/// engine must not be called from within its callback.
///
/// `@unchecked Sendable`: `answer` is touched under the lock alone.
final class ChunkSink: @unchecked Sendable {
    private let library: LiteRTLibrary
    private let lock = NSLock()
    private var answer: AsyncStream<Chunk>.Continuation?

    init(_ library: LiteRTLibrary) {
        self.library = library
    }

    /// The chunks that come from now on, up to the last one.
    func chunks() -> AsyncStream<Chunk> {
        let (chunks, answer) = AsyncStream<Chunk>.makeStream()
        lock.withLock { self.answer = answer }
        return chunks
    }

    /// What the engine calls, with the sink as `data`. The chunk is valid within the call only.
    static let callback: LiteRtLmStreamCallback = { data, chunk in
        guard let data, let chunk else { return }
        Unmanaged<ChunkSink>.fromOpaque(data).takeUnretainedValue().take(chunk)
    }

    private func take(_ chunk: OpaquePointer) {
        let functions = library.functions
        let error = functions.stream_chunk_get_error(chunk)
        let text = (error ?? functions.stream_chunk_get_text(chunk)).map { String(cString: $0) } ?? ""
        let last = error != nil || functions.stream_chunk_is_final(chunk)
        let answer = lock.withLock {
            defer { if last { self.answer = nil } }
            return self.answer
        }
        answer?.yield(Chunk(text: text, failed: error != nil, last: last))
        if last { answer?.finish() }
    }
}
