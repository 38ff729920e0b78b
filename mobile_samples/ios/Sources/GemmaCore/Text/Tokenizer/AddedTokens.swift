/// A token that is found in the text itself, before the model of the tokenizer sees it.
struct AddedToken: Equatable, Sendable {
    let id: Int32
    let content: [UInt8]
    /// Blanks to its left, or right, belong to it.
    let takesLeft: Bool
    let takesRight: Bool
    /// It counts only where no letter or digit stands beside it.
    let singleWord: Bool
    /// It is looked for in the text after the tokenizer's own changes of it.
    let normalized: Bool
    /// It steers the model and is no text: left out when tokens are decoded.
    let special: Bool
}

/// Finds added tokens in a text: from the left, at one place the longest.
struct AddedTokens: Sendable {
    /// A stretch of text, or the token that stands there.
    struct Part {
        let range: Range<Int>
        let token: Int32?
    }

    private let tokens: [AddedToken]
    /// A trie: the node after a node and a byte. Node 0 is the root.
    private var edges: [UInt32: UInt32] = [:]
    /// By node, which token ends there; -1 for none.
    private var ends: [Int32] = [-1]
    private var begins = [Bool](repeating: false, count: 256)

    /// - Parameter spelled: the tokens as they are looked for; of two that are spelled alike the first counts.
    init(_ spelled: [(token: AddedToken, text: [UInt8])]) {
        tokens = spelled.map(\.token)
        for (i, entry) in spelled.enumerated() {
            guard let first = entry.text.first else { continue }
            begins[Int(first)] = true
            var node: UInt32 = 0
            for byte in entry.text {
                let edge = node << 8 | UInt32(byte)
                if let known = edges[edge] {
                    node = known
                } else {
                    edges[edge] = UInt32(ends.count)
                    node = UInt32(ends.count)
                    ends.append(-1)
                }
            }
            if ends[Int(node)] < 0 { ends[Int(node)] = Int32(i) }
        }
    }

    /// The text in order, cut at the tokens.
    func cut(_ text: ArraySlice<UInt8>) -> [Part] {
        var out: [Part] = []
        var done = text.startIndex
        var at = text.startIndex
        while at < text.endIndex {
            guard begins[Int(text[at])], let (token, found) = longest(text, at) else {
                at += 1
                continue
            }
            at = found
            var range = (found - token.length)..<found
            if token.added.singleWord, touchesWord(text, range) { continue }
            if token.added.takesLeft {
                range = max(Blanks.before(range.lowerBound, in: text), done)..<range.upperBound
            }
            if token.added.takesRight { range = range.lowerBound..<Blanks.after(range.upperBound, in: text) }
            if done < range.lowerBound { out.append(Part(range: done..<range.lowerBound, token: nil)) }
            out.append(Part(range: range, token: token.added.id))
            done = range.upperBound
        }
        if done < text.endIndex { out.append(Part(range: done..<text.endIndex, token: nil)) }
        return out
    }

    private func longest(
        _ text: ArraySlice<UInt8>, _ begin: Int
    ) -> (token: (added: AddedToken, length: Int), end: Int)? {
        var node: UInt32 = 0
        var best: (token: (added: AddedToken, length: Int), end: Int)?
        for at in begin..<text.endIndex {
            guard let next = edges[node << 8 | UInt32(text[at])] else { break }
            node = next
            let found = ends[Int(node)]
            if found >= 0 { best = ((tokens[Int(found)], at + 1 - begin), at + 1) }
        }
        return best
    }

    private func touchesWord(_ text: ArraySlice<UInt8>, _ range: Range<Int>) -> Bool {
        let before = Scalars.last(text[text.startIndex..<range.lowerBound])
        let after = Scalars.first(text[range.upperBound...])
        return [before, after].contains { $0.map(Scalars.isWord) ?? false }
    }
}

/// Runs of blanks around a place in UTF-8.
enum Blanks {
    static func before(_ place: Int, in text: ArraySlice<UInt8>) -> Int {
        var at = place
        while let scalar = Scalars.last(text[text.startIndex..<at]), scalar.properties.isWhitespace {
            at -= UTF8.width(scalar)
        }
        return at
    }

    static func after(_ place: Int, in text: ArraySlice<UInt8>) -> Int {
        var at = place
        while let scalar = Scalars.first(text[at...]), scalar.properties.isWhitespace { at += UTF8.width(scalar) }
        return at
    }
}

/// Characters at the ends of UTF-8.
enum Scalars {
    static func first(_ text: ArraySlice<UInt8>) -> Unicode.Scalar? {
        guard let byte = text.first else { return nil }
        return String(decoding: text.prefix(Utf8.length(byte)), as: UTF8.self).unicodeScalars.first
    }

    static func last(_ text: ArraySlice<UInt8>) -> Unicode.Scalar? {
        guard let begin = text.lastIndex(where: { $0 & 0xC0 != 0x80 }) else { return nil }
        return String(decoding: text[begin...], as: UTF8.self).unicodeScalars.first
    }

    /// `\w` of regular expressions: letters, marks, digits, connectors, joiners.
    static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.properties.isAlphabetic || scalar.properties.isJoinControl { return true }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
        default: return false
        }
    }
}

extension UTF8 {
    static func width(_ scalar: Unicode.Scalar) -> Int {
        String(scalar).utf8.count
    }
}
