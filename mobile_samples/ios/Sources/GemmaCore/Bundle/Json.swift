/// A value of a JSON document. Numbers that are written as integers and fit are `integer`, all others `number`.
public enum Json: Equatable, Sendable {
    case null
    case flag(Bool)
    case integer(Int64)
    case number(Double)
    case text(String)
    case array([Json])
    case object([String: Json])

    public static let maxBytes = 16 * 1024 * 1024

    /// Reads a whole document: RFC 8259 in UTF-8 and nothing else. No comments, no trailing commas, no NaN, no second
    /// value, no key twice in an object, no half of a surrogate pair.
    ///
    /// - Throws: `Refused`: what was wrong, and at which byte.
    public static func parse(_ bytes: [UInt8], maxBytes: Int = Json.maxBytes) throws -> Json {
        guard bytes.count <= maxBytes else { throw Refused("JSON of \(bytes.count) bytes; \(maxBytes) are allowed") }
        return try bytes.withUnsafeBufferPointer { buffer in
            var reader = JsonReader(buffer)
            let value = try reader.value()
            try reader.end()
            return value
        }
    }

    public static func parse(_ text: String) throws -> Json {
        try parse(Array(text.utf8))
    }

    /// The value as ASCII, the keys of objects sorted.
    ///
    /// - Precondition: every number is finite.
    public func written() -> String {
        switch self {
        case .null: return "null"
        case .flag(let value): return value ? "true" : "false"
        case .integer(let value): return String(value)
        case .number(let value):
            precondition(value.isFinite)
            return "\(value)"
        case .text(let value): return Json.quoted(value)
        case .array(let values): return "[" + values.map { $0.written() }.joined(separator: ",") + "]"
        case .object(let members):
            let sorted = members.sorted { $0.key < $1.key }
            return "{" + sorted.map { Json.quoted($0.key) + ":" + $0.value.written() }.joined(separator: ",") + "}"
        }
    }

    /// A text with its quotes, as ASCII: it passes through anything.
    public static func quoted(_ text: String) -> String {
        var out = "\""
        for unit in text.utf16 {
            switch unit {
            case 0x22: out += "\\\""
            case 0x5C: out += "\\\\"
            case 0x20...0x7E: out.unicodeScalars.append(Unicode.Scalar(UInt8(unit)))
            default:
                let hex = String(unit, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            }
        }
        return out + "\""
    }
}
