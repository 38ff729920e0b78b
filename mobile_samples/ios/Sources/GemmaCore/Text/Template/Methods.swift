/// Methods of texts, lists, mappings and loops.
extension Renderer {
    func method(_ owner: Value, _ name: String, _ given: [Value]) throws -> Value {
        switch owner {
        case .undefined(let what): throw Refused("\(what) is undefined")
        case .text(let text):
            if let found = try ofText(text, name, given) { return found }
        case .mapping(let mapping):
            switch (name, given.count) {
            case ("get", 1...2): return try mapping.get(given[0]) ?? (given.count > 1 ? given[1] : .null)
            case ("keys", 0): return try .list(mapping.keys)
            case ("values", 0): return try .list(mapping.values)
            case ("items", 0): return try .list(pairs(mapping))
            default: break
            }
        case .list(let items):
            guard given.count == 1, name == "count" || name == "index" else { break }
            let places = try items.values.indices.filter { try equal(items.values[$0], given[0]) }
            if name == "count" { return .integer(places.count) }
            guard let first = places.first else { throw Refused("index() of what is not in the list") }
            return .integer(first)
        case .loop(let loop):
            if name == "cycle", !given.isEmpty { return given[loop.index % given.count] }
            if name == "changed" {
                let before = loop.seen
                loop.seen = given
                guard let before, before.count == given.count else { return .flag(true) }
                for (one, other) in zip(before, given) where !(try equal(one, other)) { return .flag(true) }
                return .flag(false)
            }
        default: break
        }
        throw Refused("a \(owner.type) has no .\(name)() with \(given.count) arguments")
    }

    private func ofText(_ text: TemplateText, _ name: String, _ given: [Value]) throws -> Value? {
        try charge(bytes: text.bytes.count)
        switch (name, given.count) {
        case ("upper", 0): return .text(Casing.upper(text))
        case ("lower", 0): return .text(Casing.lower(text))
        case ("capitalize", 0): return .text(Casing.capitalized(text))
        case ("title", 0): return .text(Casing.titled(text))
        case ("strip", 0...1): return .text(text.stripped(of: try optionalText(given.first)))
        case ("lstrip", 0...1): return .text(text.stripped(right: false, of: try optionalText(given.first)))
        case ("rstrip", 0...1): return .text(text.stripped(left: false, of: try optionalText(given.first)))
        case ("startswith", 1): return .flag(try affix(text, given[0], TemplateText.hasPrefix))
        case ("endswith", 1): return .flag(try affix(text, given[0], TemplateText.hasSuffix))
        case ("removeprefix", 1):
            let prefix = try needed(given[0])
            return .text(text.hasPrefix(prefix) ? TemplateText(text.bytes.dropFirst(prefix.bytes.count)) : text)
        case ("removesuffix", 1):
            let suffix = try needed(given[0])
            return .text(text.hasSuffix(suffix) ? TemplateText(text.bytes.dropLast(suffix.bytes.count)) : text)
        case ("replace", 2...3):
            let most = try count(given.count > 2 ? given[2] : nil)
            return .text(try replaced(text, needed(given[0]), needed(given[1]), most))
        case ("join", 1):
            return .text(try join(elements(given[0]).map { try needed($0) }, text))
        case ("splitlines", 0): return try .list(text.lines().map { .text($0) })
        case ("isdigit", 0):
            return .flag(!text.bytes.isEmpty && text.scalars.allSatisfy { $0.properties.numericType == .decimal })
        case ("isspace", 0): return .flag(!text.bytes.isEmpty && text.scalars.allSatisfy(TemplateText.isBlank))
        default: return try searched(text, name, given)
        }
    }

    /// Methods that look for a text in a text.
    private func searched(_ text: TemplateText, _ name: String, _ given: [Value]) throws -> Value? {
        switch (name, given.count) {
        case ("split", 0...2), ("rsplit", 0...2):
            return try .list(split(text, fromRight: name == "rsplit", given).map { .text($0) })
        case ("count", 1):
            let wanted = try needed(given[0])
            guard !wanted.bytes.isEmpty else { return .integer(text.count + 1) }
            return .integer(try split(text, at: wanted, most: nil).count - 1)
        case ("find", 1), ("index", 1), ("rfind", 1):
            let wanted = try needed(given[0])
            guard let place = try place(of: wanted, in: text, last: name == "rfind") else {
                if name == "index" { throw Refused("index() of what is not in the text") }
                return .integer(-1)
            }
            return .integer(TemplateText(text.bytes[..<place]).count)
        case ("partition", 1), ("rpartition", 1):
            let wanted = try needed(given[0])
            guard !wanted.bytes.isEmpty else { throw Refused("a text is split at an empty text") }
            let last = name == "rpartition"
            guard let place = try place(of: wanted, in: text, last: last) else {
                let parts: [Value] = last ? [.text(""), .text(""), .text(text)] : [.text(text), .text(""), .text("")]
                return .list(try Items(parts, tuple: true))
            }
            let after = TemplateText(text.bytes[(place + wanted.bytes.count)...])
            let before = TemplateText(text.bytes[..<place])
            return .list(try Items([.text(before), .text(wanted), .text(after)], tuple: true))
        default: return nil
        }
    }

    private func place(of wanted: TemplateText, in text: TemplateText, last: Bool) throws -> Int? {
        guard last else { return try find(wanted, in: text) }
        // The last occurrence is the first one backwards.
        let found = try find(TemplateText(wanted.bytes.reversed()), in: TemplateText(text.bytes.reversed()))
        return found.map { text.bytes.count - $0 - wanted.bytes.count }
    }

    private func split(_ text: TemplateText, fromRight: Bool, _ given: [Value]) throws -> [TemplateText] {
        let most = try count(given.count > 1 ? given[1] : nil)
        guard let separator = try optionalText(given.first) else {
            guard !fromRight || most == nil else { throw Refused("rsplit at blanks with a count") }
            let found = text.splitAtBlanks(most: most ?? Int.max)
            try charge(found.count)
            return found
        }
        guard fromRight, let most else { return try split(text, at: separator, most: most) }
        let backwards = try split(
            TemplateText(text.bytes.reversed()), at: TemplateText(separator.bytes.reversed()), most: most)
        return backwards.reversed().map { TemplateText($0.bytes.reversed()) }
    }

    private func needed(_ value: Value) throws -> TemplateText {
        guard case .text(let text) = value else { throw Refused("a text is needed, not a \(value.type)") }
        return text
    }

    /// A beginning or an end: one text, or any of a tuple.
    private func affix(
        _ text: TemplateText, _ value: Value, _ has: (TemplateText) -> (TemplateText) -> Bool
    ) throws -> Bool {
        guard case .list(let items) = value, items.tuple else { return has(text)(try needed(value)) }
        return try items.values.contains { has(text)(try needed($0)) }
    }
}

extension TemplateText {
    func hasPrefix(_ prefix: TemplateText) -> Bool { bytes.starts(with: prefix.bytes) }

    func hasSuffix(_ suffix: TemplateText) -> Bool { bytes.reversed().starts(with: suffix.bytes.reversed()) }
}
