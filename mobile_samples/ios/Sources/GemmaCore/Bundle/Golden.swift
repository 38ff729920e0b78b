/// One prompt of `golden.json` and what the reference answers, greedily: `GOLDEN.md`.
public struct Golden: Sendable {
    /// What was thought before a token was chosen: the five best tokens and their logits.
    public struct Step: Equatable, Sendable {
        public let tokens: [Int32]
        public let logits: [Double]
    }

    public let prompt: String
    /// The conversation, its last turn the user's; empty for a bare prompt.
    public let turns: [Turn]
    /// Token ids of the prompt, the start token first.
    public let ids: [Int32]
    /// The reference's tokens, a stop token included where one ended them.
    public let continuation: [Int32]
    /// The continuation without its stop token.
    public let text: String
    /// So many tokens come before the reference's first near-tie: only these bind anybody.
    public let certain: Int
    /// One for each token of `continuation`.
    public let steps: [Step]

    init(_ fields: Fields) throws {
        try fields.only(
            "prompt", "messages", "answer", "ids", "continuation", "text", "certain", "tokens_sha256", "steps")
        prompt = try fields.text("prompt")
        ids = try fields.int32s("ids")
        continuation = try fields.int32s("continuation")
        text = try fields.text("text")
        certain = try fields.count("certain")
        guard !ids.isEmpty else { throw fields.refused("ids", "is empty") }
        guard certain <= continuation.count else {
            throw fields.refused("certain", "is \(certain) of \(continuation.count) tokens")
        }
        guard try fields.sha256("tokens_sha256") == Digest.tokens(ids + continuation.prefix(certain)) else {
            throw fields.refused("tokens_sha256", "is of other tokens")
        }
        steps = try fields.children("steps").map(Golden.step)
        guard steps.count == continuation.count else {
            throw fields.refused("steps", "are \(steps.count), its tokens \(continuation.count)")
        }
        turns = try fields.children("messages").map {
            try $0.only("role", "content")
            let role = try $0.word("role", Role.user.rawValue, Role.assistant.rawValue)
            return Turn(role == Role.user.rawValue ? .user : .assistant, try $0.text("content"))
        }
        guard turns.isEmpty || turns.last?.role == .user else {
            throw fields.refused("messages", "do not end with the user's")
        }
    }

    private static func step(_ fields: Fields) throws -> Step {
        try fields.only("tokens", "logits", "digest")
        let step = Step(tokens: try fields.int32s("tokens"), logits: try fields.numbers("logits"))
        guard step.tokens.count == 5, step.logits.count == 5 else {
            throw Refused("\(fields.path) has not five tokens and logits")
        }
        guard try fields.text("digest") == Digest.step(step.tokens, step.logits) else {
            throw fields.refused("digest", "is of other numbers")
        }
        return step
    }
}

/// A bundle's `golden.json`.
public struct GoldenFile: Sendable {
    /// Of the model that it belongs to.
    public let artifactSha256: String
    public let stopTokens: Set<Int32>
    /// How far a logit of any step may be off in a sound runtime.
    public let tolerance: Double
    /// How far they may be off on average.
    public let meanTolerance: Double
    public let goldens: [Golden]

    /// Reads the file; every digest in it is made again, so that a number taken over wrongly is found here.
    ///
    /// - Throws: `Refused`: not version 1, or damaged.
    public init(_ bytes: [UInt8]) throws {
        let root = try Fields(Json.parse(bytes), "golden")
        let version = try root.integer("schema_version")
        guard version == 1 else { throw Refused("golden.schema_version is \(version); this app reads 1") }
        try root.only(
            "schema_version", "artifact_sha256", "stop_tokens", "tolerance", "mean_tolerance", "goldens")
        artifactSha256 = try root.sha256("artifact_sha256")
        stopTokens = Set(try root.int32s("stop_tokens"))
        tolerance = try root.number("tolerance")
        meanTolerance = try root.number("mean_tolerance")
        goldens = try root.children("goldens").map(Golden.init)
    }
}
