/// The model of a tokenizer: byte pair encoding with bytes for characters that have no piece.
struct BytePairs: Sendable {
    let pieces: Pieces
    let merges: Merges
    /// The token of what nothing else spells, where there is one.
    let unknown: Int32?
    /// Neighbouring unknown characters are one token.
    let fuseUnknown: Bool
    /// Tokens of the bytes `<0x00>` to `<0xFF>`, -1 where there is none; nil where bytes are not used.
    let byteTokens: [Int32]?
    /// A stretch that is a piece as it stands is that token, whatever the merges say.
    let wholePieces: Bool

    /// Appends the tokens of a stretch of text.
    ///
    /// - Parameters:
    ///   - text: UTF-8, not empty.
    ///   - barred: tokens, by id, that must not come of it whatever it spells.
    ///   - barredWhole: the same for a stretch that is a piece as it stands.
    func encode(_ text: UnsafeRawBufferPointer, barred: [Bool]?, barredWhole: [Bool]?, into out: inout [Int32]) {
        if wholePieces, let id = pieces.id(text), barredWhole.map({ !$0[Int(id)] }) ?? true {
            out.append(id)
            return
        }
        out.append(contentsOf: merges.apply(to: characters(text, barred), barred: barred))
    }

    /// A token for each character.
    private func characters(_ text: UnsafeRawBufferPointer, _ barred: [Bool]?) -> [Int32] {
        var out: [Int32] = []
        out.reserveCapacity(text.count)
        var unknowns = 0  // seen and not yet written
        var begin = 0
        while begin < text.count {
            let end = min(begin + Utf8.length(text[begin]), text.count)
            let character = UnsafeRawBufferPointer(rebasing: text[begin..<end])
            begin = end
            if let id = pieces.id(character), barred.map({ !$0[Int(id)] }) ?? true {
                write(&unknowns, &out)
                out.append(id)
            } else if let byteTokens, character.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
                // Unknown characters before it stay behind: the library writes them where the next piece comes.
                out.append(contentsOf: character.lazy.map { byteTokens[Int($0)] })
            } else if unknown != nil {
                if !fuseUnknown { write(&unknowns, &out) }
                unknowns = 1
            }
        }
        write(&unknowns, &out)
        return out
    }

    private func write(_ unknowns: inout Int, _ out: inout [Int32]) {
        if unknowns > 0, let unknown { out.append(unknown) }
        unknowns = 0
    }
}

/// Facts of UTF-8.
enum Utf8 {
    /// The length of a character by its first byte.
    static func length(_ first: UInt8) -> Int {
        switch first {
        case ..<0xC0: return 1
        case ..<0xE0: return 2
        case ..<0xF0: return 3
        default: return 4
        }
    }
}
