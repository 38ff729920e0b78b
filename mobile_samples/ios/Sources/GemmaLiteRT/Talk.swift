internal import CLiteRTLM
import GemmaCore

/// A conversation of the C library. All but `cancel` may take long: never on one of Swift's own threads.
final class Talk: Sendable {
    private let library: LiteRTLibrary
    private let handle: Handle
    private let sink: ChunkSink

    /// - Throws: `EngineError`.
    init(_ library: LiteRTLibrary, engine: Handle, _ settings: SessionSettings) throws {
        let sink = ChunkSink(library)
        let functions = library.functions
        let pointer: OpaquePointer
        let parent = try engine.enter()
        do {
            pointer = try Talk.begin(library, parent, settings)
        } catch {
            engine.leave()
            throw error
        }
        self.library = library
        self.sink = sink
        // The engine's threads hold no reference to the sink, which must outlive the conversation: the closure has it.
        handle = Handle(pointer, owner: engine) { pointer in
            withExtendedLifetime(sink) { functions.conversation_delete(pointer) }
        }
    }

    private static func begin(_ library: LiteRTLibrary, _ engine: OpaquePointer, _ settings: SessionSettings) throws
        -> OpaquePointer
    {
        let functions = library.functions
        let session = try library.sessionConfig(settings.sampling, maxTokens: settings.maxTokens)
        defer { functions.session_config_delete(session) }
        guard let config = functions.conversation_config_create() else {
            throw library.failure("no settings for a conversation")
        }
        defer { functions.conversation_config_delete(config) }
        functions.conversation_config_set_session_config(config, session)
        if !settings.history.isEmpty {
            functions.conversation_config_set_messages(config, Messages.all(settings.history).written())
        }
        if settings.thinking, let thinking = functions.thinking_config_create() {  // on; without one it is off
            functions.conversation_config_set_thinking_config(config, thinking)
            functions.thinking_config_delete(thinking)
        }
        guard let talk = functions.conversation_create(engine, config) else {
            throw library.failure("the engine begins no conversation")
        }
        return talk
    }

    /// Hands a turn to the engine; its answer comes as chunks, to the last one in any case.
    ///
    /// - Throws: `EngineError`; there are no chunks then.
    func send(_ turn: Turn) throws -> AsyncStream<Chunk> {
        try handle.use { pointer in
            let chunks = sink.chunks()
            let data = Unmanaged.passUnretained(sink).toOpaque()
            let message = Messages.one(turn).written()
            let send = library.functions.conversation_send_message_stream
            guard send(pointer, message, nil, nil, ChunkSink.callback, data) == 0 else {
                throw library.failure("the engine does not take the message")
            }
            return chunks
        }
    }

    /// Asks the engine to end the answer that is coming.
    func cancel() {
        try? handle.use { library.functions.conversation_cancel_process($0) }
    }

    /// Of the last answer; nil where nothing was measured.
    func speed() -> Speed? {
        let functions = library.functions
        let speed = try? handle.use { pointer -> Speed? in
            guard let info = functions.conversation_get_benchmark_info(pointer) else { return nil }
            defer { functions.benchmark_info_delete(info) }
            let turn = functions.benchmark_info_get_num_decode_turns(info) - 1
            guard turn >= 0 else { return nil }
            return Speed(
                tokens: Int(functions.benchmark_info_get_decode_token_count_at(info, turn)),
                tokensPerSecond: functions.benchmark_info_get_decode_tokens_per_sec_at(info, turn),
                firstTokenSeconds: functions.benchmark_info_get_time_to_first_token(info))
        }
        return speed ?? nil
    }

    /// Positions of the context that are taken; nil where the engine does not tell.
    func taken() -> Int? {
        let taken = try? handle.use { Int(library.functions.conversation_get_token_count($0)) }
        return taken.flatMap { $0 >= 0 ? $0 : nil }
    }

    /// The prompt from `turn` on up to where its answer would begin, by the model's own template.
    ///
    /// - Throws: `EngineError`.
    func render(_ turn: Turn) throws -> String {
        try handle.use { pointer in
            let message = Messages.one(turn).written()
            guard let text = library.functions.conversation_render_message_to_string(pointer, message) else {
                throw library.failure("the engine does not render the message")
            }
            return String(cString: text)
        }
    }

    /// Frees the conversation. Called when no answer is coming.
    func free() {
        handle.free()
    }
}

extension LiteRTLibrary {
    /// Settings of a session, to be deleted.
    ///
    /// - Parameters:
    ///   - sampling: nil leaves it to the model.
    ///   - maxTokens: 0 leaves the length to the model.
    /// - Throws: `EngineError`.
    func sessionConfig(_ sampling: Sampling?, maxTokens: Int) throws -> OpaquePointer {
        guard let config = functions.session_config_create() else { throw failure("no settings for a session") }
        if maxTokens > 0 { functions.session_config_set_max_output_tokens(config, CInt(clamping: maxTokens)) }
        guard let sampling else { return config }
        guard let sampler = functions.sampler_params_create(CInt(LITERT_SAMPLER_TOP_P)) else {
            defer { functions.session_config_delete(config) }
            throw failure("no settings for a sampler")
        }
        functions.sampler_params_set_top_k(sampler, Int32(clamping: sampling.topK))
        functions.sampler_params_set_top_p(sampler, Float(sampling.topP))
        functions.sampler_params_set_temperature(sampler, Float(sampling.temperature))
        functions.sampler_params_set_seed(sampler, Int32(truncatingIfNeeded: sampling.seed))
        functions.session_config_set_sampler_params(config, sampler)
        functions.sampler_params_delete(sampler)
        return config
    }
}
