/// Escapes in texts of templates: Python's.
enum Escapes {
    private static let short: [UInt8: UInt8] = [
        UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "'"): 0x27, UInt8(ascii: "\""): 0x22, UInt8(ascii: "a"): 0x07,
        UInt8(ascii: "b"): 0x08, UInt8(ascii: "f"): 0x0C, UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D,
        UInt8(ascii: "t"): 0x09, UInt8(ascii: "v"): 0x0B,
    ]
    private static let lengths: [UInt8: Int] = [UInt8(ascii: "x"): 2, UInt8(ascii: "u"): 4, UInt8(ascii: "U"): 8]

    /// - Throws: `Refused`: an escape without its digits, or of no character. One that Python does not know is text.
    static func read(_ content: ArraySlice<UInt8>) throws -> TemplateText {
        var out: [UInt8] = []
        var rest = content
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let kind = rest.popFirst() else {
                out.append(byte)
                continue
            }
            if let plain = short[kind] {
                out.append(plain)
            } else if let length = lengths[kind] {
                out.append(contentsOf: try character(&rest, length, radix: 16))
            } else if (0x30...0x37).contains(kind) {
                let length = rest.prefix(2).prefix { (0x30...0x37).contains($0) }.count
                rest = content[(rest.startIndex - 1)...]
                out.append(contentsOf: try character(&rest, length + 1, radix: 8))
            } else if kind == UInt8(ascii: "N") {
                throw Refused("the escape \\N is not known to this app")
            } else if kind != 0x0A {  // a line end after it is no part of the text
                out.append(contentsOf: [byte, kind])
            }
        }
        return TemplateText(out)
    }

    private static func character(_ rest: inout ArraySlice<UInt8>, _ length: Int, radix: Int) throws -> [UInt8] {
        let digits = String(decoding: rest.prefix(length), as: UTF8.self)
        guard rest.count >= length, !digits.hasPrefix("+"), !digits.hasPrefix("-"),
            let code = UInt32(digits, radix: radix), let scalar = Unicode.Scalar(code)
        else { throw Refused("an escape in a text is no character") }
        rest = rest.dropFirst(length)
        return Array(String(scalar).utf8)
    }
}
