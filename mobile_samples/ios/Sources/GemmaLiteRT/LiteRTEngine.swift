import GemmaCore

/// A model in LiteRT-LM: its own tokenizer, template and sampler, and no logits.
public actor LiteRTEngine: Engine {
    public let backend: Backend
    public let takesPictures: Bool
    private let library: LiteRTLibrary
    private let handle: Handle
    private let context: Int
    private var sessions: [Weak] = []
    private var closed = false

    init(_ library: LiteRTLibrary, _ handle: Handle, _ backend: Backend, context: Int, pictures: Bool) {
        self.library = library
        self.handle = handle
        self.backend = backend
        self.context = context
        takesPictures = pictures
    }

    public nonisolated var replay: Replay { .text(Completion(library, handle)) }

    public func start(_ settings: SessionSettings) async throws -> any Session {
        if closed { throw EngineError.closed }
        let talk = try await aside { [library, handle] in try Talk(library, engine: handle, settings) }
        guard !closed else {  // in the meantime; the closing waits for this
            await aside { talk.free() }
            throw EngineError.closed
        }
        let session = LiteRTSession(talk, limit: settings.maxTokens, context: context)
        sessions.removeAll { $0.session == nil }
        sessions.append(Weak(session: session))
        return session
    }

    public func close() async {
        closed = true
        handle.refuse()
        for session in sessions.compactMap(\.session) { await session.close() }
        sessions = []
        await aside { [handle] in handle.free() }
    }

    /// A session that an app has dropped is freed without being closed.
    private struct Weak {
        weak var session: LiteRTSession?
    }
}
