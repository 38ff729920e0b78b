/// How values are written.
extension Renderer {
    /// As Jinja prints a value: a text as it is, everything else as Python writes it.
    func text(_ value: Value) throws -> TemplateText {
        switch value {
        case .undefined: return ""
        case .text(let text): return text
        default:
            var out = ""
            try write(value, &out)
            return TemplateText(out)
        }
    }

    private func write(_ value: Value, _ out: inout String) throws {
        try charge()
        try charge(bytes: out.utf8.count > Renderer.maxBytes ? out.utf8.count : 0)
        switch value {
        case .undefined: out += "Undefined"
        case .null: out += "None"
        case .flag(let value): out += value ? "True" : "False"
        case .integer(let value): out += String(value)
        case .number(let value): out += Numbers.text(value)
        case .text(let text):
            try charge(bytes: text.bytes.count)
            out += Quoting.python(text)
        case .list(let items):
            out += items.tuple ? "(" : "["
            for (i, element) in items.values.enumerated() {
                if i > 0 { out += ", " }
                try write(element, &out)
            }
            out += items.tuple ? (items.values.count == 1 ? ",)" : ")") : "]"
        case .mapping(let mapping):
            out += "{"
            for (i, key) in mapping.keys.enumerated() {
                if i > 0 { out += ", " }
                try write(key, &out)
                out += ": "
                try write(mapping.values[i], &out)
            }
            out += "}"
        case .stream, .namespace, .macro, .loop, .method: throw Refused("a \(value.type) cannot be printed")
        }
    }

    /// How `tojson` lays out what it writes.
    struct Layout {
        var ascii = false
        var indent: String?
        var between: String
        var afterKey: String
        var sorted = false
    }

    func json(_ value: Value, _ layout: Layout, _ level: Int = 0, _ out: inout String) throws {
        try charge()
        try charge(bytes: out.utf8.count > Renderer.maxBytes ? out.utf8.count : 0)
        switch value {
        case .null: out += "null"
        case .flag(let value): out += value ? "true" : "false"
        case .integer(let value): out += String(value)
        case .number(let value): out += Numbers.text(value)
        case .text(let text):
            try charge(bytes: text.bytes.count)
            out += Quoting.json(text, ascii: layout.ascii)
        case .list(let items):
            try list("[", "]", items.values.count, layout, level, &out) { i, out in
                try self.json(items.values[i], layout, level + 1, &out)
            }
        case .mapping(let mapping):
            var places = Array(mapping.keys.indices)
            if layout.sorted { places = try sorted(places, reversed: false) { mapping.keys[$0] } }
            try list("{", "}", places.count, layout, level, &out) { i, out in
                out += Quoting.json(try self.jsonKey(mapping.keys[places[i]]), ascii: layout.ascii) + layout.afterKey
                try self.json(mapping.values[places[i]], layout, level + 1, &out)
            }
        default: throw Refused("a \(value.type) cannot be JSON")
        }
    }

    private func jsonKey(_ key: Value) throws -> TemplateText {
        switch key {
        case .text(let text): return text
        case .null: return "null"
        case .flag(let value): return value ? "true" : "false"
        default: return try text(key)
        }
    }

    private func list(
        _ open: String, _ close: String, _ count: Int, _ layout: Layout, _ level: Int, _ out: inout String,
        _ element: (Int, inout String) throws -> Void
    ) throws {
        out += open
        for i in 0..<count {
            if i > 0 { out += layout.between }
            if let indent = layout.indent { out += "\n" + String(repeating: indent, count: level + 1) }
            try element(i, &out)
        }
        if count > 0, let indent = layout.indent { out += "\n" + String(repeating: indent, count: level) }
        out += close
    }
}

/// Texts in quotes.
enum Quoting {
    /// As Python's `repr`.
    static func python(_ text: TemplateText) -> String {
        let scalars = text.scalars
        let quote: Unicode.Scalar = scalars.contains("'") && !scalars.contains("\"") ? "\"" : "'"
        var out = String.UnicodeScalarView()
        out.append(quote)
        for scalar in scalars {
            switch scalar {
            case quote, "\\": out.append(contentsOf: "\\".unicodeScalars + [scalar])
            case "\n": out.append(contentsOf: "\\n".unicodeScalars)
            case "\r": out.append(contentsOf: "\\r".unicodeScalars)
            case "\t": out.append(contentsOf: "\\t".unicodeScalars)
            case _ where isPrintable(scalar): out.append(scalar)
            case _ where scalar.value < 0x100: out.append(contentsOf: hex("\\x", scalar.value, 2))
            case _ where scalar.value < 0x10000: out.append(contentsOf: hex("\\u", scalar.value, 4))
            default: out.append(contentsOf: hex("\\U", scalar.value, 8))
            }
        }
        out.append(quote)
        return String(out)
    }

    /// As `json.dumps`.
    static func json(_ text: TemplateText, ascii: Bool) -> String {
        var out = String.UnicodeScalarView()
        out.append("\"")
        for scalar in text.string.unicodeScalars {
            switch scalar {
            case "\"", "\\": out.append(contentsOf: "\\".unicodeScalars + [scalar])
            case "\n": out.append(contentsOf: "\\n".unicodeScalars)
            case "\r": out.append(contentsOf: "\\r".unicodeScalars)
            case "\t": out.append(contentsOf: "\\t".unicodeScalars)
            case "\u{8}": out.append(contentsOf: "\\b".unicodeScalars)
            case "\u{C}": out.append(contentsOf: "\\f".unicodeScalars)
            case _ where scalar.value < 0x20 || ascii && scalar.value > 0x7E:
                for unit in String(scalar).utf16 { out.append(contentsOf: hex("\\u", UInt32(unit), 4)) }
            default: out.append(scalar)
            }
        }
        out.append("\"")
        return String(out)
    }

    private static func hex(_ prefix: String, _ value: UInt32, _ digits: Int) -> String.UnicodeScalarView {
        let found = String(value, radix: 16)
        return (prefix + String(repeating: "0", count: max(0, digits - found.count)) + found).unicodeScalars
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: return false
        case .spaceSeparator: return scalar == " "
        default: return true
        }
    }
}
