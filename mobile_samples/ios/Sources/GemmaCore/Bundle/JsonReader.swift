/// Reads a JSON document from its bytes, piece by piece: a large one need not become a tree.
///
/// Every method throws `Refused` where the bytes are not what it reads.
public struct JsonReader {
    public static let maxDepth = 64
    private let bytes: UnsafeBufferPointer<UInt8>
    public private(set) var offset = 0

    public init(_ bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
    }

    public func wrong(_ what: String) -> Refused {
        Refused("JSON: \(what) at byte \(offset)")
    }

    /// The first byte of the next value, blanks skipped.
    public mutating func peek() throws -> UInt8 {
        skipBlanks()
        guard offset < bytes.count else { throw wrong("the document ends early") }
        return bytes[offset]
    }

    /// Nothing but blanks follows.
    public mutating func end() throws {
        skipBlanks()
        guard offset == bytes.count else { throw wrong("something after the document's end") }
    }

    /// An object; `member` is given each key, and reads its value. A key must not come twice where `unique`.
    public mutating func object(unique: Bool = true, _ member: (inout JsonReader, String) throws -> Void) throws {
        var seen = Set<String>()
        try list(UInt8(ascii: "{"), UInt8(ascii: "}")) { reader in
            guard try reader.peek() == UInt8(ascii: "\"") else { throw reader.wrong("a key expected") }
            let key = try reader.text()
            if unique, !seen.insert(key).inserted { throw reader.wrong("the key \(Json.quoted(key)) twice") }
            guard try reader.peek() == UInt8(ascii: ":") else { throw reader.wrong("':' expected") }
            reader.offset += 1
            try member(&reader, key)
        }
    }

    /// An array; `element` reads each of its values.
    public mutating func array(_ element: (inout JsonReader) throws -> Void) throws {
        try list(UInt8(ascii: "["), UInt8(ascii: "]"), element)
    }

    /// A string.
    public mutating func text() throws -> String {
        guard try peek() == UInt8(ascii: "\"") else { throw wrong("a string expected") }
        offset += 1
        let begin = offset
        while offset < bytes.count, bytes[offset] != UInt8(ascii: "\""), bytes[offset] != UInt8(ascii: "\\"),
            bytes[offset] >= 0x20
        {
            offset += 1
        }
        guard offset < bytes.count else { throw wrong("the document ends early") }
        if bytes[offset] == UInt8(ascii: "\"") {  // without escapes, as nearly all are
            offset += 1
            return try decoded(bytes[begin..<(offset - 1)])
        }
        offset = begin
        return try escapedText()
    }

    /// A number that is written as an integer and fits.
    public mutating func integer() throws -> Int64 {
        guard case .integer(let value) = try value() else { throw wrong("an integer expected") }
        return value
    }

    /// Reads past a value, whatever it is.
    public mutating func skip() throws {
        _ = try value()
    }

    /// Any value, as a tree.
    public mutating func value() throws -> Json {
        try value(depth: 0)
    }

    private mutating func value(depth: Int) throws -> Json {
        guard depth <= JsonReader.maxDepth else { throw wrong("nested deeper than \(JsonReader.maxDepth)") }
        switch try peek() {
        case UInt8(ascii: "{"):
            var members: [String: Json] = [:]
            try object { reader, key in members[key] = try reader.value(depth: depth + 1) }
            return .object(members)
        case UInt8(ascii: "["):
            var elements: [Json] = []
            try array { reader in elements.append(try reader.value(depth: depth + 1)) }
            return .array(elements)
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "t"): return try word("true", .flag(true))
        case UInt8(ascii: "f"): return try word("false", .flag(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func skipBlanks() {
        while offset < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[offset]) { offset += 1 }
    }

    private mutating func list(
        _ open: UInt8, _ close: UInt8, _ element: (inout JsonReader) throws -> Void
    ) throws {
        guard try peek() == open else { throw wrong("'\(Character(Unicode.Scalar(open)))' expected") }
        offset += 1
        if try peek() == close {
            offset += 1
            return
        }
        while true {
            try element(&self)
            let next = try peek()
            guard next == close || next == UInt8(ascii: ",") else { throw wrong("',' or the end expected") }
            offset += 1
            if next == close { return }
        }
    }

    private mutating func word(_ word: StaticString, _ value: Json) throws -> Json {
        for i in 0..<word.utf8CodeUnitCount {
            guard offset < bytes.count, bytes[offset] == word.utf8Start[i] else { throw wrong("no such word") }
            offset += 1
        }
        return value
    }

    private func decoded(_ slice: Slice<UnsafeBufferPointer<UInt8>>) throws -> String {
        guard let text = String(validating: slice, as: UTF8.self) else { throw wrong("no UTF-8") }
        return text
    }

    private mutating func escapedText() throws -> String {
        var raw: [UInt8] = []
        while true {
            guard offset < bytes.count else { throw wrong("the document ends early") }
            let byte = bytes[offset]
            guard byte >= 0x20 else { throw wrong("a control character inside a string") }
            offset += 1
            if byte == UInt8(ascii: "\"") { break }
            if byte == UInt8(ascii: "\\") {
                raw.append(contentsOf: Array(String(try escape()).utf8))
            } else {
                raw.append(byte)
            }
        }
        guard let text = String(validating: raw, as: UTF8.self) else { throw wrong("no UTF-8") }
        return text
    }

    private mutating func escape() throws -> Character {
        guard offset < bytes.count else { throw wrong("the document ends early") }
        let byte = bytes[offset]
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Character(Unicode.Scalar(byte))
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return Character(try scalar())
        default: throw wrong("no such escape")
        }
    }

    private mutating func scalar() throws -> Unicode.Scalar {
        let first = try unit()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, offset + 1 < bytes.count, bytes[offset] == UInt8(ascii: "\\"),
            bytes[offset + 1] == UInt8(ascii: "u")
        else { throw wrong("half of a surrogate pair") }
        offset += 2
        let second = try unit()
        guard (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw wrong("half of a surrogate pair") }
        return scalar
    }

    private mutating func unit() throws -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard offset < bytes.count, let digit = Character(Unicode.Scalar(bytes[offset])).hexDigitValue,
                bytes[offset] < 0x80
            else { throw wrong("four hex digits expected") }
            code = code * 16 + UInt32(digit)
            offset += 1
        }
        return code
    }

    private mutating func number() throws -> Json {
        let begin = offset
        func digits() -> Int {
            var count = 0
            while offset < bytes.count, (0x30...0x39).contains(bytes[offset]) {
                offset += 1
                count += 1
            }
            return count
        }
        func at(_ wanted: Character...) -> Bool {
            offset < bytes.count && wanted.contains(Character(Unicode.Scalar(bytes[offset])))
        }
        if at("-") { offset += 1 }
        let leading = at("0")
        let whole = digits()
        guard whole > 0, whole == 1 || !leading else {
            offset = begin
            throw wrong("no value")
        }
        var integral = true
        if at(".") {
            offset += 1
            integral = false
            guard digits() > 0 else { throw wrong("no number") }
        }
        if at("e", "E") {
            offset += 1
            integral = false
            if at("+", "-") { offset += 1 }
            guard digits() > 0 else { throw wrong("no number") }
        }
        guard offset - begin <= 64 else { throw wrong("a number out of range") }
        let text = String(decoding: bytes[begin..<offset], as: UTF8.self)
        if integral, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw wrong("a number out of range") }
        return .number(value)
    }
}
