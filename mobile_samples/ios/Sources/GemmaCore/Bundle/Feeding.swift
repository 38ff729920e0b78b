/// A token by its id, and how the tokenizer writes it; nil where the tokenizer has none of this id.
public struct NamedToken: Equatable, Sendable {
    public let id: Int32
    public let text: String?

    init(_ fields: Fields) throws {
        id = try index(fields, "id", least: 0)
        text = try fields.textOrNil("text")
    }
}

/// How a token is drawn, as the checkpoint asks for it.
public struct SamplerSettings: Equatable, Sendable {
    public let topK: Int
    public let topP: Double
    public let temperature: Double
}

/// The part `feeding` of a manifest: tokens with a meaning, how one is drawn, and what a call takes.
public struct Feeding: Sendable {
    /// Every conversation begins with it.
    public let start: NamedToken
    /// Stands where there is no token.
    public let pad: NamedToken
    /// Each of them ends an answer.
    public let stops: [NamedToken]
    /// Ids that are never drawn.
    public let suppressed: [Int32]
    /// By the checkpoint's own names; `sot_token` and `eot_token` begin and end a turn.
    public let roles: [String: NamedToken]
    /// Around a model's thoughts; nil when it has none.
    public let thought: (begin: NamedToken, end: NamedToken)?
    /// Nil: the best token, every time.
    public let sampler: SamplerSettings?
    /// Nil where the engine makes the calls itself.
    public let calls: Calls?
    /// Nil where the model takes no pictures.
    public let images: Images?

    init(_ fields: Fields) throws {
        try fields.only("tokens", "sampler", "chosen", "calls", "images")
        let tokens = try fields.child("tokens")
        try tokens.only("start", "pad", "stops", "suppressed", "thought", "roles", "placeholders")
        start = try NamedToken(tokens.child("start"))
        pad = try NamedToken(tokens.child("pad"))
        stops = try tokens.children("stops").map(NamedToken.init)
        guard !stops.isEmpty else { throw tokens.refused("stops", "is empty: no answer would end") }
        suppressed = try tokens.int32s("suppressed")
        thought = try tokens.childOrNil("thought").map {
            (begin: try NamedToken($0.child("begin")), end: try NamedToken($0.child("end")))
        }
        let named = try tokens.child("roles")
        var roles: [String: NamedToken] = [:]
        for key in named.keys { roles[key] = try NamedToken(named.child(key)) }
        self.roles = roles
        sampler = try Feeding.sampler(fields.child("sampler"))
        calls = try fields.childOrNil("calls").map(Calls.init)
        // Older bundles say nothing of pictures.
        images = fields.has("images") ? try Images(fields.child("images")) : nil
    }

    private static func sampler(_ fields: Fields) throws -> SamplerSettings? {
        try fields.only("sample", "top_k", "top_p", "temperature")
        guard try fields.flag("sample") else { return nil }
        let topP = try fields.number("top_p"), temperature = try fields.number("temperature")
        guard topP > 0, topP <= 1 else { throw fields.refused("top_p", "is \(topP)") }
        guard temperature > 0 else { throw fields.refused("temperature", "is \(temperature)") }
        return SamplerSettings(topK: Int(try index(fields, "top_k", least: 1)), topP: topP, temperature: temperature)
    }
}

private func index(_ fields: Fields, _ key: String, least: Int32) throws -> Int32 {
    let value = try fields.integer(key)
    guard let index = Int32(exactly: value), index >= least else { throw fields.refused(key, "is \(value)") }
    return index
}
