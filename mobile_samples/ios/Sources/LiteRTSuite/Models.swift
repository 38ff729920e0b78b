import Foundation
import GemmaCore
import GemmaLiteRT

/// A model's file, and the length of its context.
struct Sized: Sendable {
    let path: String
    let context: Int
}

/// What the suite is given.
struct Models: Sendable {
    let library: LiteRTLibrary
    let cache: URL
    let demo: Sized
    let goldens: GoldenFile

    func factory(_ path: String, context: Int = 0, pictures: Int = 0) -> LiteRTFactory {
        LiteRTFactory(
            model: URL(fileURLWithPath: path), cache: cache, threads: 1, context: context, pictures: pictures,
            library: { [library] in library })
    }

    /// The demo, loaded once more.
    func another() async throws -> any Engine {
        try await factory(demo.path).open(.cpu)
    }
}

let belgium = "Belgium in two letters?"
let three = "And in three letters?"
let everything = "Tell me everything."
let short = SessionSettings(sampling: .greedy, maxTokens: 8)
let greedy = SessionSettings(sampling: .greedy)
/// Tokens that are drawn from almost all: an answer that goes on until it is stopped.
let wild = SessionSettings(sampling: Sampling(topK: 1000, topP: 1, temperature: 8, seed: 7))

extension Engine {
    func tokens(_ text: String) async throws -> [Int32] {
        guard case .text(let replay) = replay, let completion = replay as? Completion else {
            throw Wrong(description: "another engine")
        }
        return try await completion.tokenize(text)
    }

    func text(_ tokens: [Int32]) async throws -> String? {
        guard case .text(let replay) = replay else { throw Wrong(description: "another engine") }
        return try await replay.detokenize(tokens)
    }

    /// The prompt that a message becomes in a new session.
    func prompt(_ message: String, history: [Turn] = []) async throws -> String {
        try await within(SessionSettings(history: history)) { try await ($0 as? LiteRTSession)?.render(message) ?? "" }
    }
}
