/// The filters that stand after `|`.
extension Renderer {
    func filter(
        _ name: String, _ value: Value, _ positional: [Value], _ named: [(name: String, value: Value)]
    ) throws -> Value {
        guard let parameters = Known.filters[name], let parameters else {
            return try choose(name, value, positional, named)
        }
        var given = Dictionary(uniqueKeysWithValues: zip(parameters, positional))
        for (name, value) in named { given[name] = value }
        switch name {
        case "default", "d":
            let missing = value.isUndefined || (given["boolean"]?.truth ?? false) && !value.truth
            return missing ? given["default_value"] ?? .text("") : value
        case "length", "count": return .integer(try length(value))
        case "first": return try first(value)
        case "last": return try last(value)
        case "items":
            if value.isUndefined { return .stream(Stream([])) }
            guard case .mapping(let mapping) = value else { throw Refused("items of a \(value.type)") }
            return .stream(Stream(try pairs(mapping)))
        case "list": return try .list(elements(value))
        case "reverse": return try reversed(value)
        case "tojson": return try tojson(value, given)
        case "abs", "int", "float", "round": return try number(name, value, given)
        case "dictsort", "sort", "unique", "min", "max", "sum", "join": return try gather(name, value, given)
        default: return .text(try rewritten(name, try text(value), value, given))
        }
    }

    /// Filters of texts.
    private func rewritten(
        _ name: String, _ text: TemplateText, _ value: Value, _ given: [String: Value]
    ) throws -> TemplateText {
        try charge(bytes: text.bytes.count)
        switch name {
        case "string": return text
        case "upper": return Casing.upper(text)
        case "lower": return Casing.lower(text)
        case "capitalize": return Casing.capitalized(text)
        case "title": return Casing.titledWords(text)
        case "trim": return text.stripped(of: try optionalText(given["chars"]))
        case "replace":
            guard let old = given["old"], let new = given["new"] else { throw Refused("replace needs two texts") }
            return try replaced(text, self.text(old), self.text(new), try count(given["count"]))
        case "indent":
            guard case .text = value else { throw Refused("indent of a \(value.type)") }
            return try indented(text, given)
        default: throw Refused("the filter \(name) is not known to this app")
        }
    }

    private func indented(_ text: TemplateText, _ given: [String: Value]) throws -> TemplateText {
        let margin: TemplateText
        switch given["width"] ?? .integer(4) {
        case .text(let text): margin = text
        case let width:
            guard let count = width.whole, count <= 1000 else { throw Refused("indent by a \(width.type)") }
            margin = TemplateText([UInt8](repeating: 0x20, count: max(0, count)))
        }
        let blank = given["blank"]?.truth ?? false
        let lines = (text + "\n").lines()
        try charge(bytes: text.bytes.count + lines.count * margin.bytes.count)
        var out = given["first"]?.truth ?? false ? margin.bytes : []
        for (i, line) in lines.enumerated() {
            if i > 0 {
                out.append(0x0A)
                if blank || !line.bytes.isEmpty { out.append(contentsOf: margin.bytes) }
            }
            out.append(contentsOf: line.bytes)
        }
        return TemplateText(out)
    }

    private func tojson(_ value: Value, _ given: [String: Value]) throws -> Value {
        var layout = Layout(between: ", ", afterKey: ": ")
        switch given["indent"] ?? .null {
        case .null: break
        case .text(let text): layout.indent = text.string
        case let indent:
            guard let count = indent.whole, count <= 16 else { throw Refused("tojson with indent of \(indent.type)") }
            layout.indent = String(repeating: " ", count: max(0, count))
        }
        if layout.indent != nil { layout.between = "," }
        if let separators = given["separators"], !isNull(separators) {
            let parts = try elements(separators)
            guard parts.count == 2, case .text(let between) = parts[0], case .text(let afterKey) = parts[1] else {
                throw Refused("tojson with separators that are not two texts")
            }
            layout.between = between.string
            layout.afterKey = afterKey.string
        }
        layout.ascii = given["ensure_ascii"]?.truth ?? false
        layout.sorted = given["sort_keys"]?.truth ?? false
        var out = ""
        try json(value, layout, 0, &out)
        try charge(bytes: out.utf8.count)
        return .text(out)
    }

    private func number(_ name: String, _ value: Value, _ given: [String: Value]) throws -> Value {
        if case .undefined(let what) = value { throw Refused("\(what) is undefined") }
        switch name {
        case "abs":
            if case .number(let value) = value { return .number(value.magnitude) }
            guard let whole = value.whole, whole > Int.min else { throw Refused("abs of a \(value.type)") }
            return .integer(abs(whole))
        case "int":
            if let whole = value.whole { return .integer(whole) }
            if case .number(let value) = value { return .integer(try Numbers.truncated(value)) }
            guard case .text(let text) = value else { return given["default"] ?? .integer(0) }
            let plain = Numbers.stripped(text)
            if let whole = Int(plain) { return .integer(whole) }
            if let value = Numbers.parsed(plain) { return .integer(try Numbers.truncated(value)) }
            return given["default"] ?? .integer(0)
        case "float":
            if let value = Numbers.double(value) { return .number(value) }
            guard case .text(let text) = value, let found = Numbers.parsed(Numbers.stripped(text)) else {
                return given["default"] ?? .number(0)
            }
            return .number(found)
        default:
            guard let number = Numbers.double(value), let places = (given["precision"] ?? .integer(0)).whole else {
                throw Refused("round of a \(value.type)")
            }
            let method = try text(given["method"] ?? .text("common")).string
            let found = try Numbers.rounded(number, places: places, method: method)
            // Python rounds a whole number to a whole number.
            if method == "common", let whole = value.whole, places >= 0 { return .integer(whole) }
            return .number(found)
        }
    }

    // MARK: Arguments

    func isNull(_ value: Value) -> Bool {
        if case .null = value { return true }
        return false
    }

    func optionalText(_ value: Value?) throws -> TemplateText? {
        switch value {
        case nil, .null: return nil
        case .text(let text): return text
        case .some(let value): throw Refused("a text is needed, not a \(value.type)")
        }
    }

    /// How often at most: nil for always.
    func count(_ value: Value?) throws -> Int? {
        guard let value, !isNull(value) else { return nil }
        guard let count = value.whole else { throw Refused("a number is needed, not a \(value.type)") }
        return count < 0 ? nil : count
    }

    func replaced(_ text: TemplateText, _ old: TemplateText, _ new: TemplateText, _ most: Int?) throws -> TemplateText {
        guard !old.bytes.isEmpty else { throw Refused("replacing an empty text is not known to this app") }
        let parts = try split(text, at: old, most: most)
        try charge(bytes: text.bytes.count + parts.count * new.bytes.count)
        return TemplateText(parts.map(\.bytes).joined(separator: new.bytes))
    }

    func split(_ text: TemplateText, at separator: TemplateText, most: Int?) throws -> [TemplateText] {
        guard !separator.bytes.isEmpty else { throw Refused("a text is split at an empty text") }
        try charge(bytes: text.bytes.count)
        var out: [TemplateText] = []
        var begin = 0
        while most.map({ out.count < $0 }) ?? true, let found = try find(separator, in: text, from: begin) {
            out.append(TemplateText(text.bytes[begin..<found]))
            begin = found + separator.bytes.count
            try charge()
        }
        out.append(TemplateText(text.bytes[begin...]))
        return out
    }
}
