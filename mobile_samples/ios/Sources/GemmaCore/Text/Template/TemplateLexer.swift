/// Cuts a template into words, as Jinja does with `trim_blocks` and `lstrip_blocks`: a statement or comment takes the
/// blanks before it that begin its line, and the line end after it; `-` takes all blanks on its side, `+` none.
struct TemplateLexer {
    private let source: [UInt8]
    private var at = 0
    private var line = 1
    /// The last word ended with a line end, or there was none.
    private var lineBegins = true
    private var tokens: [(TemplateToken, line: Int)] = []

    /// - Throws: `Refused`: what does not end, or is no word; with its line.
    static func tokens(_ source: TemplateText) throws -> [(TemplateToken, line: Int)] {
        var lexer = TemplateLexer(source)
        while lexer.at < lexer.source.count { try lexer.data() }
        lexer.tokens.append((.end, lexer.line))
        return lexer.tokens
    }

    private init(_ text: TemplateText) {
        // Every kind of line end is one; the last one of the file is left out.
        var source: [UInt8] = []
        var afterReturn = false
        for byte in text.bytes {
            if !(afterReturn && byte == 0x0A) { source.append(byte == 0x0D ? 0x0A : byte) }
            afterReturn = byte == 0x0D
        }
        if source.last == 0x0A { source.removeLast() }
        self.source = source
    }

    private func starts(_ text: StaticString, at place: Int) -> Bool {
        let count = text.utf8CodeUnitCount
        guard place + count <= source.count else { return false }
        return (0..<count).allSatisfy { source[place + $0] == text.utf8Start[$0] }
    }

    private func startsTag(_ place: Int) -> Bool {
        source[place] == UInt8(ascii: "{") && place + 1 < source.count && "%{#".utf8.contains(source[place + 1])
    }

    private func wrong(_ what: String) -> Refused {
        Refused("line \(line): \(what)")
    }

    private mutating func pass(to end: Int) {
        line += source[at..<end].reduce(0) { $1 == 0x0A ? $0 + 1 : $0 }
        if end > at { lineBegins = source[end - 1] == 0x0A }
        at = end
    }

    private func afterBlanks(_ place: Int) -> Int {
        var rest = source[place...]
        while let scalar = Scalars.first(rest), TemplateText.isBlank(scalar) {
            rest = rest.dropFirst(UTF8.width(scalar))
        }
        return rest.startIndex
    }

    /// Text up to the next tag, and the tag with all that is in it.
    private mutating func data() throws {
        var begin = at
        while begin < source.count, !startsTag(begin) { begin += 1 }
        guard begin < source.count else {
            emit(source[at...])
            pass(to: source.count)
            return
        }
        let print = starts("{{", at: begin)
        emitStripped(begin, sign: begin + 2 < source.count ? source[begin + 2] : 0, lines: !print)
        if starts("{#", at: begin) {
            try comment(begin)
        } else if starts("{%", at: begin), let inside = raw(begin) {
            try rawBlock(inside)
        } else {
            let signed = begin + 2 < source.count && [UInt8(ascii: "-"), UInt8(ascii: "+")].contains(source[begin + 2])
            tokens.append((print ? .printBegin : .statementBegin, line))
            pass(to: begin + (signed ? 3 : 2))
            try code(print)
        }
    }

    private mutating func emit(_ text: ArraySlice<UInt8>) {
        if !text.isEmpty { tokens.append((.data(TemplateText(text)), line)) }
    }

    /// Text before a tag, without the blanks that the tag takes.
    private mutating func emitStripped(_ end: Int, sign: UInt8, lines: Bool) {
        let text = source[at..<end]
        if sign == UInt8(ascii: "-") {
            emit(TemplateText(text).stripped(left: false).bytes[...])
        } else if sign != UInt8(ascii: "+"), lines {
            let lineEnd = text.lastIndex(of: 0x0A)
            let lineText = text[(lineEnd.map { $0 + 1 } ?? at)...]
            if lineEnd != nil || lineBegins, TemplateText(lineText).stripped().bytes.isEmpty {
                emit(text[..<lineText.startIndex])
            } else {
                emit(text)
            }
        } else {
            emit(text)
        }
        pass(to: end)
    }

    /// Where a tag ends that closes at `place`: with the blanks or the line end that it takes.
    private func tagEnd(_ close: StaticString, at place: Int, lines: Bool) -> Int? {
        let sign = place < source.count ? source[place] : 0
        if sign == UInt8(ascii: "-"), starts(close, at: place + 1) { return afterBlanks(place + 3) }
        if lines, sign == UInt8(ascii: "+"), starts(close, at: place + 1) { return place + 3 }
        guard starts(close, at: place) else { return nil }
        return lines && place + 2 < source.count && source[place + 2] == 0x0A ? place + 3 : place + 2
    }

    private mutating func comment(_ begin: Int) throws {
        var place = begin + 2
        // A sign after the opening is part of it, and cannot be that of the close.
        if place < source.count, [UInt8(ascii: "-"), UInt8(ascii: "+")].contains(source[place]) { place += 1 }
        while place < source.count {
            if let end = tagEnd("#}", at: place, lines: true) { return pass(to: end) }
            place += 1
        }
        throw wrong("a comment does not end")
    }

    /// Where the content of `{% raw %}` begins, if that is what stands there.
    private func raw(_ begin: Int) -> Int? {
        word("raw", begin).flatMap { tagEnd("%}", at: $0, lines: false) }
    }

    /// The place after a word and blanks in a tag that has nothing else.
    private func word(_ word: StaticString, _ begin: Int) -> Int? {
        guard starts("{%", at: begin) else { return nil }
        var place = begin + 2
        if place < source.count, [UInt8(ascii: "-"), UInt8(ascii: "+")].contains(source[place]) { place += 1 }
        place = afterBlanks(place)
        guard starts(word, at: place) else { return nil }
        return afterBlanks(place + word.utf8CodeUnitCount)
    }

    private mutating func rawBlock(_ inside: Int) throws {
        let began = line
        pass(to: inside)
        for place in inside..<source.count where source[place] == UInt8(ascii: "{") {
            guard let close = word("endraw", place), let end = tagEnd("%}", at: close, lines: true) else { continue }
            emitStripped(place, sign: source[place + 2], lines: true)
            pass(to: end)
            return
        }
        line = began
        throw wrong("raw does not end")
    }

    /// The words of a tag, up to where it closes.
    private mutating func code(_ print: Bool) throws {
        var open: [UInt8] = []
        while true {
            guard at < source.count else { throw wrong("the template ends inside a tag") }
            if open.isEmpty, let end = tagEnd(print ? "}}" : "%}", at: at, lines: !print) {
                tokens.append((print ? .printEnd : .statementEnd, line))
                return pass(to: end)
            }
            let blanks = afterBlanks(at)
            if blanks > at {
                pass(to: blanks)
                continue
            }
            let byte = source[at]
            switch byte {
            case UInt8(ascii: "'"), UInt8(ascii: "\""): try string(byte)
            case UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"):
                let end = source[at...].firstIndex { !TemplateLexer.inName($0) } ?? source.count
                tokens.append((.name(String(decoding: source[at..<end], as: UTF8.self)), line))
                pass(to: end)
            default: try sign(&open)
            }
        }
    }

    private static func inName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            return true
        default: return false
        }
    }

    private static let signs: [StaticString] = [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=",
        ".", ":", "|", ",", ";",
    ]

    private mutating func sign(_ open: inout [UInt8]) throws {
        guard let sign = TemplateLexer.signs.first(where: { starts($0, at: at) }) else {
            let scalar = Scalars.first(source[at...]) ?? "?"
            throw wrong("the character \(Json.quoted(String(scalar))) is no part of a template")
        }
        let closers: [UInt8: UInt8] = [0x28: 0x29, 0x5B: 0x5D, 0x7B: 0x7D]
        if let closer = closers[source[at]] {
            open.append(closer)
            guard open.count <= Expression.maxDepth else {
                throw wrong("brackets are nested deeper than \(Expression.maxDepth)")
            }
        } else if closers.values.contains(source[at]) {
            guard open.popLast() == source[at] else { throw wrong("'\(sign)' closes nothing") }
        }
        tokens.append((.sign("\(sign)"), line))
        pass(to: at + sign.utf8CodeUnitCount)
    }

    private mutating func number() throws {
        var end = at
        func digit(_ place: Int) -> Bool { place < source.count && (0x30...0x39).contains(source[place]) }
        func digits() {
            while digit(end) || end < source.count && source[end] == UInt8(ascii: "_") { end += 1 }
        }
        digits()
        var whole = true
        if end < source.count, source[end] == UInt8(ascii: "."), digit(end + 1) {
            end += 1
            digits()
            whole = false
        }
        if end < source.count, source[end] | 0x20 == UInt8(ascii: "e") {
            let signed = end + 1 < source.count && [UInt8(ascii: "-"), UInt8(ascii: "+")].contains(source[end + 1])
            if digit(end + (signed ? 2 : 1)) {
                end += signed ? 2 : 1
                digits()
                whole = false
            }
        }
        let text = String(decoding: source[at..<end].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
        let clean = source[end - 1] != UInt8(ascii: "_") && !(end < source.count && TemplateLexer.inName(source[end]))
        let padded = whole && text.count > 1 && text.hasPrefix("0")
        guard clean, !padded, end - at <= 64 else { throw wrong("a number that this app cannot read") }
        if whole {
            guard let value = Int(text) else { throw wrong("the number \(text) is too large") }
            tokens.append((.integer(value), line))
        } else {
            guard let value = Double(text), value.isFinite else { throw wrong("the number \(text) is too large") }
            tokens.append((.number(value), line))
        }
        pass(to: end)
    }

    private mutating func string(_ quote: UInt8) throws {
        var end = at + 1
        while end < source.count, source[end] != quote { end += source[end] == UInt8(ascii: "\\") ? 2 : 1 }
        guard end < source.count else { throw wrong("a text in quotes does not end") }
        let content = source[(at + 1)..<end]
        do {
            tokens.append((.text(try Escapes.read(content)), line))
        } catch let error as Refused {
            throw wrong(error.message)
        }
        pass(to: end + 1)
    }
}
