/// A text inside a template: its UTF-8, for Swift's own strings would not do.
///
/// Swift counts what a reader sees as one character and calls canonically equivalent strings equal. Jinja, as Python,
/// counts code points, and compares them.
struct TemplateText: Hashable, Comparable, ExpressibleByStringLiteral, Sendable {
    var bytes: [UInt8]

    init(_ bytes: some Sequence<UInt8>) {
        self.bytes = Array(bytes)
    }

    init(_ string: String) {
        bytes = Array(string.utf8)
    }

    init(stringLiteral value: String) {
        self.init(value)
    }

    init(_ scalars: some Sequence<Unicode.Scalar>) {
        var all = String.UnicodeScalarView()
        all.append(contentsOf: scalars)
        self.init(String(all))
    }

    var string: String { String(decoding: bytes, as: UTF8.self) }

    var scalars: [Unicode.Scalar] { Array(string.unicodeScalars) }

    /// Code points.
    var count: Int { bytes.reduce(0) { $1 & 0xC0 == 0x80 ? $0 : $0 + 1 } }

    /// Each code point as a text.
    var characters: [TemplateText] {
        var out: [TemplateText] = []
        var begin = 0
        while begin < bytes.count {
            let end = min(begin + Utf8.length(bytes[begin]), bytes.count)
            out.append(TemplateText(bytes[begin..<end]))
            begin = end
        }
        return out
    }

    /// By code points: UTF-8 keeps their order.
    static func < (left: TemplateText, right: TemplateText) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }

    static func + (left: TemplateText, right: TemplateText) -> TemplateText {
        TemplateText(left.bytes + right.bytes)
    }

    /// Without blanks, or without any of `characters`, at its ends.
    func stripped(left: Bool = true, right: Bool = true, of characters: TemplateText? = nil) -> TemplateText {
        let wanted = characters.map { Set($0.scalars) }
        func strips(_ scalar: Unicode.Scalar) -> Bool {
            wanted.map { $0.contains(scalar) } ?? TemplateText.isBlank(scalar)
        }
        var rest = bytes[...]
        while left, let scalar = Scalars.first(rest), strips(scalar) { rest = rest.dropFirst(UTF8.width(scalar)) }
        while right, let scalar = Scalars.last(rest), strips(scalar) { rest = rest.dropLast(UTF8.width(scalar)) }
        return TemplateText(rest)
    }

    /// What Python takes for a blank: Unicode's and four separators.
    static func isBlank(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }

    /// Stretches between blanks; so many cuts at most.
    func splitAtBlanks(most: Int) -> [TemplateText] {
        var out: [TemplateText] = []
        var rest = stripped(right: false).bytes[...]
        while !rest.isEmpty {
            if out.count == most {
                out.append(TemplateText(rest).stripped(left: false))
                break
            }
            var end = rest.startIndex
            while let scalar = Scalars.first(rest[end...]), !TemplateText.isBlank(scalar) { end += UTF8.width(scalar) }
            out.append(TemplateText(rest[..<end]))
            rest = rest[end...]
            while let scalar = Scalars.first(rest), TemplateText.isBlank(scalar) {
                rest = rest.dropFirst(UTF8.width(scalar))
            }
        }
        return out
    }

    /// Lines without their ends, for every line end that Python knows.
    func lines() -> [TemplateText] {
        var out: [TemplateText] = []
        var line: [Unicode.Scalar] = []
        var open = false
        var afterReturn = false
        for scalar in string.unicodeScalars {
            if afterReturn, scalar == "\n" {
                afterReturn = false
                continue
            }
            afterReturn = scalar == "\r"
            switch scalar.value {
            case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029:
                out.append(TemplateText(line))
                line = []
                open = false
            default:
                line.append(scalar)
                open = true
            }
        }
        return open ? out + [TemplateText(line)] : out
    }
}
