/// The tests that stand after `is`.
extension Renderer {
    func test(_ name: String, _ value: Value, _ given: [Value]) throws -> Bool {
        switch name {
        case "defined": return !value.isUndefined
        case "undefined": return value.isUndefined
        case "eq", "equalto", "==": return try compare(.equal, value, given[0])
        case "ne": return try compare(.unequal, value, given[0])
        case "lt", "lessthan": return try compare(.less, value, given[0])
        case "le": return try compare(.lessOrEqual, value, given[0])
        case "gt", "greaterthan": return try compare(.greater, value, given[0])
        case "ge": return try compare(.greaterOrEqual, value, given[0])
        case "in": return try compare(.inside, value, given[0])
        case "even": return try remainder(value, .integer(2)) == 0
        case "odd": return try remainder(value, .integer(2)) == 1
        case "divisibleby": return try remainder(value, given[0]) == 0
        case "sameas": return try same(value, given[0])
        case "lower": return try cased(value, Casing.lower)
        case "upper": return try cased(value, Casing.upper)
        default: return try type(name, value)
        }
    }

    private func type(_ name: String, _ value: Value) throws -> Bool {
        switch (name, value) {
        case ("none", .null), ("boolean", .flag), ("integer", .integer), ("float", .number), ("string", .text),
            ("mapping", .mapping), ("number", .flag), ("number", .integer), ("number", .number), ("true", .flag(true)),
            ("false", .flag(false)):
            return true
        // Python asks whether there are a length and elements by number, which undefined and mappings claim as well.
        case ("sequence", .text), ("sequence", .list), ("sequence", .mapping), ("sequence", .undefined): return true
        case ("iterable", .text), ("iterable", .list), ("iterable", .mapping), ("iterable", .undefined),
            ("iterable", .stream), ("iterable", .loop):
            return true
        default: return false
        }
    }

    private func remainder(_ value: Value, _ divisor: Value) throws -> Double? {
        Numbers.double(try calculate(.remainder, value, divisor))
    }

    /// Python's `is`, as far as it means something here: of the three words, and of texts that are equal.
    private func same(_ value: Value, _ other: Value) throws -> Bool {
        switch (value, other) {
        case (.flag, .flag), (.null, .null), (.namespace, .namespace), (.macro, .macro): return try equal(value, other)
        case (.flag, _), (.null, _), (_, .flag), (_, .null): return false
        default: throw Refused("sameas between a \(value.type) and a \(other.type)")
        }
    }

    /// Whether changing the case changes nothing, of a text that has any.
    private func cased(_ value: Value, _ change: (TemplateText) -> TemplateText) throws -> Bool {
        let text = try text(value)
        try charge(bytes: text.bytes.count)
        return change(text) == text && text.scalars.contains { $0.properties.isCased }
    }
}
