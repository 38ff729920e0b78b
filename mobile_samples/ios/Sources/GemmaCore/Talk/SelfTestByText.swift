extension SelfTest {
    /// Tokens are compared through text: the engine's own tokenizer turns the reference's certain tokens into the text
    /// that must come out. Where all are certain that is the whole text.
    func byText(_ engine: any Engine, _ replay: any TextReplay, _ golden: Golden) async throws -> SelfTestCase {
        func made(_ verdict: Verdict, _ said: String, _ why: String) -> SelfTestCase {
            SelfTestCase(prompt: golden.prompt, expected: golden.text, said: said, verdict: verdict, why: why)
        }
        func judged(_ right: Bool, _ said: String, _ expected: String) -> SelfTestCase {
            right
                ? made(.passed, said, "")
                : made(.failed, said, "\(Json.quoted(expected)) is right, \(Json.quoted(said)) was said")
        }
        if golden.certain == 0 { return made(.notCompared, "", "no token of it is certain") }
        do {
            guard let said = try await answer(engine, replay, golden) else {
                return made(.notCompared, "", "the engine continues no bare prompt")
            }
            if golden.certain == golden.continuation.count { return judged(said == golden.text, said, golden.text) }
            let certain = golden.continuation.prefix(golden.certain).filter { !stopTokens.contains($0) }
            guard var begin = try await replay.detokenize(Array(certain)) else {
                return made(.notCompared, said, "the engine does not tell which text its tokens are")
            }
            // The last character may be half of one that further tokens complete.
            while begin.hasSuffix("\u{FFFD}") { begin.removeLast() }
            if begin.isEmpty { return made(.notCompared, said, "its certain tokens are no text") }
            return judged(said.utf8.starts(with: begin.utf8), said, begin)
        } catch let error as EngineError {
            return made(.failed, "", "the engine gave up: \(error.message)")
        }
    }

    private func answer(_ engine: any Engine, _ replay: any TextReplay, _ golden: Golden) async throws -> String? {
        let limit = golden.continuation.count
        guard let last = golden.turns.last else { return try await replay.complete(golden.prompt, maxTokens: limit) }
        let settings = SessionSettings(history: golden.turns.dropLast(), sampling: .greedy, maxTokens: limit)
        let session = try await engine.start(settings)
        do {
            var text = ""
            for try await event in await session.send(last.text) {
                if case .ended(let answer) = event { text = answer.text }
            }
            await session.close()
            return text
        } catch {
            await session.close()
            throw error
        }
    }
}
