/// Reads the smaller parts of a `tokenizer.json`: how text is changed and cut, and how tokens become text.
enum TokenizerParts {
    /// Of one part; published files have one to three.
    private static let mostSteps = 8
    /// A file may not make more than so many bytes of one.
    private static let mostGrowth = 64

    static func normalizer(_ json: Json) throws -> [Rewriting] {
        let steps = try sequence(json, "normalizer", "normalizers").map { fields in
            switch try fields.word("type", "Replace", "Prepend") {
            case "Replace": return try replace(fields)
            default:
                try fields.only("type", "prepend")
                return .prepend(try short(fields, "prepend"))
            }
        }
        try checkGrowth(steps, "normalizer")
        return steps
    }

    static func preTokenizer(_ json: Json) throws -> [Splitting] {
        try sequence(json, "pre_tokenizer", "pretokenizers").map { fields in
            _ = try fields.word("type", "Split")
            try fields.only("type", "pattern", "behavior", "invert")
            let name = try fields.text("behavior")
            guard let behavior = Splitting.Behavior(rawValue: name) else {
                throw fields.refused("behavior", "is \(Json.quoted(String(name.prefix(40)))), which this app lacks")
            }
            return Splitting(pattern: try pattern(fields), behavior: behavior, invert: try fields.flag("invert"))
        }
    }

    static func decoder(_ json: Json) throws -> Decoding {
        var before: [Rewriting] = []
        var after: [Rewriting] = []
        var bytes = false
        var fused = false
        let steps = try sequence(json, "decoder", "decoders")
        guard !steps.isEmpty else { throw Refused("there is no decoder; this app knows Replace, ByteFallback, Fuse") }
        for fields in steps {
            let type = try fields.word("type", "Replace", "ByteFallback", "Fuse")
            if type != "Replace" { try fields.only("type") }
            // What comes after it would see the whole text, which is not there while tokens still come.
            guard !fused else { throw fields.refused("type", "is \(type) after Fuse, which this app lacks") }
            switch type {
            case "Fuse": fused = true
            case "ByteFallback":
                guard !bytes else { throw fields.refused("type", "is ByteFallback a second time") }
                bytes = true
            default: bytes ? after.append(try replace(fields)) : before.append(try replace(fields))
            }
        }
        try checkGrowth(before + after, "decoder")
        return Decoding(before: before, bytes: bytes, after: after)
    }

    static func checkPostProcessor(_ json: Json) throws {
        if json != .null { _ = try Fields(json, "post_processor").word("type", "TemplateProcessing") }
    }

    /// The steps of a part that is one step, a `Sequence` of them, or null.
    private static func sequence(_ json: Json, _ path: String, _ key: String) throws -> [Fields] {
        if json == .null { return [] }
        let fields = try Fields(json, path)
        guard try fields.text("type") == "Sequence" else { return [fields] }
        try fields.only("type", key)
        let steps = try fields.children(key)
        guard steps.count <= mostSteps else {
            throw fields.refused(key, "has \(steps.count) steps; \(mostSteps) are allowed")
        }
        return steps
    }

    private static func replace(_ fields: Fields) throws -> Rewriting {
        try fields.only("type", "pattern", "content")
        return .replace(try pattern(fields), by: try short(fields, "content"))
    }

    /// A pattern that is a text; one that is a regular expression is refused.
    private static func pattern(_ fields: Fields) throws -> [UInt8] {
        let pattern = try fields.child("pattern")
        try pattern.only("String")
        let text = try short(pattern, "String")
        guard !text.isEmpty else { throw pattern.refused("String", "is empty") }
        return text
    }

    private static func short(_ fields: Fields, _ key: String) throws -> [UInt8] {
        let text = Array(try fields.text(key).utf8)
        guard text.count <= 256 else { throw fields.refused(key, "has \(text.count) bytes; 256 are allowed") }
        return text
    }

    private static func checkGrowth(_ steps: [Rewriting], _ path: String) throws {
        var growth = 1
        for case .replace(let pattern, let new) in steps {
            growth *= max(1, (new.count + pattern.count - 1) / pattern.count)
            guard growth <= mostGrowth else {
                throw Refused("\(path) makes more than \(mostGrowth) bytes of one")
            }
        }
    }
}
