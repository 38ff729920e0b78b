internal import CLiteRTLM
import GemmaCore

/// What the self-test needs of an engine: text continued without a template, and text of tokens.
package struct Completion: TextReplay {
    private let library: LiteRTLibrary
    private let handle: Handle

    init(_ library: LiteRTLibrary, _ handle: Handle) {
        self.library = library
        self.handle = handle
    }

    package func complete(_ prompt: String, maxTokens: Int) async throws -> String? {
        let prompt = try noZero(prompt)
        return try await aside { try handle.use { try complete($0, prompt, maxTokens) } }
    }

    private func complete(_ engine: OpaquePointer, _ prompt: String, _ maxTokens: Int) throws -> String {
        let functions = library.functions
        let config = try library.sessionConfig(.greedy, maxTokens: maxTokens)
        defer { functions.session_config_delete(config) }
        functions.session_config_set_apply_prompt_template(config, false)
        guard let session = functions.engine_create_session(engine, config) else {
            throw library.failure("the engine begins no session")
        }
        defer { functions.session_delete(session) }
        guard let input = functions.input_data_create(CInt(LITERT_INPUT_TEXT), prompt, prompt.utf8.count) else {
            throw library.failure("the engine does not take the prompt")
        }
        defer { functions.input_data_delete(input) }
        guard functions.session_run_prefill(session, [input], 1) == 0 else {
            throw library.failure("the engine does not read the prompt")
        }
        guard let responses = functions.session_run_decode(session) else {
            throw library.failure("the engine does not go on with the prompt")
        }
        defer { functions.responses_delete(responses) }
        return functions.responses_get_response_text_at(responses, 0).map { String(cString: $0) } ?? ""
    }

    package func detokenize(_ tokens: [Int32]) async throws -> String? {
        if tokens.isEmpty { return "" }
        return try await aside {
            try handle.use { engine in
                guard let result = library.functions.engine_detokenize(engine, tokens, tokens.count) else {
                    throw library.failure("the engine does not detokenize")
                }
                defer { library.functions.detokenize_result_delete(result) }
                return library.functions.detokenize_result_get_string(result).map { String(cString: $0) }
            }
        }
    }

    /// Token ids of a text without the start token.
    package func tokenize(_ text: String) async throws -> [Int32] {
        let text = try noZero(text)
        return try await aside {
            try handle.use { engine in
                guard let result = library.functions.engine_tokenize(engine, text) else {
                    throw library.failure("the engine does not tokenize")
                }
                defer { library.functions.tokenize_result_delete(result) }
                let tokens = library.functions.tokenize_result_get_tokens(result)
                let count = library.functions.tokenize_result_get_num_tokens(result)
                return Array(UnsafeBufferPointer(start: tokens, count: tokens == nil ? 0 : count))
            }
        }
    }

    /// C text ends at the first zero.
    private func noZero(_ text: String) throws -> String {
        if text.utf8.contains(0) { throw EngineError.failed("the text holds a zero character") }
        return text
    }
}
