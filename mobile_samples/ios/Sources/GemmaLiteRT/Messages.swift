import GemmaCore

/// Messages as the engine reads and writes them: JSON with a role and a content.
enum Messages {
    /// A turn; no text in it spells a control token.
    static func one(_ turn: Turn) -> Json {
        let words = Json.text(ControlTokens.harmless(turn.text))
        guard !turn.pictures.isEmpty else { return .object(["role": .text(turn.role.rawValue), "content": words]) }
        let seen = turn.pictures.map { Json.object(["type": .text("image"), "path": .text($0)]) }
        let said = turn.text.isEmpty ? [] : [Json.object(["type": .text("text"), "text": words])]
        return .object(["role": .text(turn.role.rawValue), "content": .array(seen + said)])
    }

    static func all(_ turns: [Turn]) -> Json {
        .array(turns.map(one))
    }

    /// The text of a chunk; content that is no text, and a thought in a channel of its own, are left out.
    static func text(_ chunk: String) -> String {
        if chunk.isEmpty { return "" }
        // An engine may send plain text.
        guard case .object(let message)? = try? Json.parse(chunk) else { return chunk }
        switch message["content"] {
        case .text(let text): return text
        case .array(let parts): return parts.map(part).joined()
        default: return ""
        }
    }

    private static func part(_ json: Json) -> String {
        guard case .object(let members) = json, case .text(let text)? = members["text"] else { return "" }
        return text
    }
}
