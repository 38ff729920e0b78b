import Foundation
import GemmaCore

/// Goldens that no model gave, with right digests.
enum Made {
    static let artifact = String(repeating: "a", count: 64)

    /// One question and its answer, of two tokens.
    static func goldens(certain: Int = 2) throws -> GoldenFile {
        let ids: [Int32] = [2, 7], new: [Int32] = [9, 1]
        let tokens: [Int32] = [9, 8, 7, 6, 5], logits: [Double] = [5, 4, 3, 2, 1]
        let step = Json.object([
            "tokens": .array(tokens.map { .integer(Int64($0)) }), "logits": .array(logits.map(Json.number)),
            "digest": .text(Digest.step(tokens, logits)),
        ])
        let golden = Json.object([
            "prompt": .text("<|turn>user\nq"), "answer": .null,
            "messages": .array([.object(["role": .text("user"), "content": .text("q")])]),
            "ids": .array(ids.map { .integer(Int64($0)) }), "continuation": .array(new.map { .integer(Int64($0)) }),
            "text": .text("right"), "certain": .integer(Int64(certain)),
            "tokens_sha256": .text(Digest.tokens(ids + new.prefix(certain))), "steps": .array([step, step]),
        ])
        let file = Json.object([
            "schema_version": .integer(1), "artifact_sha256": .text(artifact), "stop_tokens": .array([.integer(1)]),
            "tolerance": .number(1.5), "mean_tolerance": .number(0.1), "goldens": .array([golden]),
        ])
        return try GoldenFile(Array(file.written().utf8))
    }
}
