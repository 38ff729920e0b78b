/// How a tokenizer makes text of its tokens: changes of each piece, bytes put together, changes again.
struct Decoding: Equatable, Sendable {
    let before: [Rewriting]
    /// `<0x41>` stands for a byte.
    let bytes: Bool
    let after: [Rewriting]
}

/// Makes text of tokens as they come, one by one.
///
/// A character that is spelled byte by byte comes when it is whole: bytes are held back until a token follows that is
/// none, because a run of bytes that is no UTF-8 becomes one U+FFFD a byte. All pieces together, with that of `finish`,
/// are what `Tokenizer.decode` makes of all tokens.
public struct StreamDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipSpecial: Bool
    private var held: [UInt8] = []

    public init(_ tokenizer: Tokenizer, skipSpecial: Bool = true) {
        self.tokenizer = tokenizer
        self.skipSpecial = skipSpecial
    }

    /// The text that has become certain with the next token; often empty.
    ///
    /// - Throws: `Refused`: no such token.
    public mutating func push(_ token: Int32) throws -> String {
        String(decoding: try bytes(token), as: UTF8.self)
    }

    /// What was held back; the decoder is then as new.
    public mutating func finish() -> String {
        String(decoding: release(), as: UTF8.self)
    }

    mutating func bytes(_ token: Int32) throws -> [UInt8] {
        guard var piece = tokenizer.piece(token) else { throw tokenizer.unknown(token) }
        if skipSpecial, tokenizer.isSpecial(token) { return [] }
        for step in tokenizer.decoding.before { piece = step.applied(to: piece) }
        if tokenizer.decoding.bytes, let byte = StreamDecoder.byte(piece) {
            held.append(byte)
            return []
        }
        return release() + finished(piece)
    }

    mutating func release() -> [UInt8] {
        guard !held.isEmpty else { return [] }
        defer { held = [] }
        // Where they are none, each becomes a piece of its own.
        if String(validating: held, as: UTF8.self) != nil { return finished(held[...]) }
        return held.flatMap { _ in finished(Array("\u{FFFD}".utf8)[...]) }
    }

    private func finished(_ piece: ArraySlice<UInt8>) -> [UInt8] {
        Array(tokenizer.decoding.after.reduce(piece) { $1.applied(to: $0) })
    }

    /// The byte that a piece spells: `<0x41>`, and as the library reads numbers also `<0x+1>`.
    private static func byte(_ piece: ArraySlice<UInt8>) -> UInt8? {
        guard piece.count == 6, piece.starts(with: Array("<0x".utf8)), piece.last == UInt8(ascii: ">") else {
            return nil
        }
        let digits = piece.dropFirst(3).prefix(2)
        return digits.first == UInt8(ascii: "-") ? nil : UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
