/// Makes text harmless that spells a control token: what a person types, and what a tool answers, must not open a turn.
///
/// A tokenizer takes every `<turn|>` in a prompt for the token, whoever wrote it. So a word joiner (U+2060: no width,
/// no meaning) goes behind the `<` of every such spelling: `<|name>`, `<name|>`, `<|name|>` with any name, and the
/// older names between plain brackets. Tags of HTML, `a < b` and pipes stay as they are.
public enum ControlTokens {
    public static let joiner: Unicode.Scalar = "\u{2060}"

    /// The text without any control token in it; where it has none, the same text.
    public static func harmless(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "<")) else { return text }
        let all = Array(text.unicodeScalars)
        var out = String.UnicodeScalarView()
        for (i, scalar) in all.enumerated() {
            out.append(scalar)
            if scalar == "<", opensToken(all[(i + 1)...]) { out.append(joiner) }
        }
        return String(out)
    }

    /// The same for every text in a JSON value, keys included.
    public static func harmless(_ value: Json) -> Json {
        switch value {
        case .text(let text): return .text(harmless(text))
        case .array(let values): return .array(values.map { harmless($0) })
        case .object(let members):
            let pairs = members.map { (harmless($0.key), harmless($0.value)) }
            return .object(Dictionary(pairs, uniquingKeysWith: { first, _ in first }))
        default: return value
        }
    }

    /// Whether what follows a `<` makes a control token of it.
    private static func opensToken(_ rest: ArraySlice<Unicode.Scalar>) -> Bool {
        func ends(_ rest: ArraySlice<Unicode.Scalar>, _ end: String) -> Bool {
            rest.starts(with: end.unicodeScalars)
        }
        if rest.first == "|" {
            let name = rest.dropFirst()
            let run = name.prefix { !"<> \t\r\n".unicodeScalars.contains($0) }
            return !run.isEmpty && ends(name.dropFirst(run.count), ">")
        }
        let run = rest.prefix { !"<>| \t\r\n\u{2060}".unicodeScalars.contains($0) }
        let after = rest.dropFirst(run.count)
        return !run.isEmpty && ends(after, "|>") || ends(after, ">") && isOldName(run)
    }

    private static func isOldName(_ run: ArraySlice<Unicode.Scalar>) -> Bool {
        var name = String.UnicodeScalarView()
        name.append(contentsOf: run)
        let text = String(name)
        if ["pad", "eos", "bos", "unk", "mask"].contains(text) { return true }
        func follows(_ begin: String, _ allowed: ClosedRange<Unicode.Scalar>, _ also: Unicode.Scalar? = nil) -> Bool {
            let rest = run.dropFirst(begin.unicodeScalars.count)
            return run.starts(with: begin.unicodeScalars) && !rest.isEmpty
                && rest.allSatisfy { allowed.contains($0) || $0 == also }
        }
        return follows("unused", "0"..."9")
            || follows("start_of_", "a"..."z", "_") || follows("end_of_", "a"..."z", "_")
    }
}
