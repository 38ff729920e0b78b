import Foundation

/// The tokenizer of a bundle, from its `tokenizer.json`: byte pair encoding with bytes for what has no piece.
///
/// It gives the tokens that the `tokenizers` library gives. What a file asks for and this reader does not know is
/// refused when it is opened.
public final class Tokenizer: Sendable {
    let decoding: Decoding
    private let model: BytePairs
    private let rewriting: [Rewriting]
    private let splitting: [Splitting]
    /// Looked for in the text as it is, and after `rewriting`.
    private let raw: AddedTokens
    private let rewritten: AddedTokens
    /// Added tokens that are no pieces of the model, by id.
    private let more: [Int32: [UInt8]]
    /// By the model's ids.
    private let special: [Bool]
    private let added: [Bool]
    private let specialMore: Set<Int32>

    /// Reads a `tokenizer.json`; one of published size takes a second or two.
    ///
    /// - Throws: `Refused`: not readable, not such a file, or it asks for what this reader does not know.
    public convenience init(file: URL) throws {
        try self.init(TokenizerFile.read(file))
    }

    init(_ file: TokenizerFile) {
        decoding = file.decoding
        model = file.model
        rewriting = file.rewriting
        splitting = file.splitting
        raw = AddedTokens(file.added.filter { !$0.normalized }.map { ($0, $0.content) })
        let steps = file.rewriting
        rewritten = AddedTokens(
            file.added.filter(\.normalized).map { token in
                (token, Array(steps.reduce(token.content[...]) { $1.applied(to: $0) }))
            })
        var special = [Bool](repeating: false, count: file.model.pieces.end)
        var added = special
        var more: [Int32: [UInt8]] = [:]
        for token in file.added {
            if file.model.pieces.piece(token.id) == nil {
                more[token.id] = token.content
            } else {
                added[Int(token.id)] = true
                special[Int(token.id)] = token.special
            }
        }
        self.special = special
        self.added = added
        self.more = more
        specialMore = Set(file.added.filter { $0.special && more[$0.id] != nil }.map(\.id))
    }

    /// Pieces and added tokens together.
    public var count: Int { model.pieces.count + more.count }

    /// The tokens of a text, without a start token. Added tokens (`<|turn>`) are recognized wherever they are spelled.
    public func encode(_ text: String) -> [Int32] {
        encode(text, controlTokens: true)
    }

    /// The tokens of a text, without a start token.
    ///
    /// - Parameter controlTokens: false for text of a person or a tool. No added token is looked for in it and no
    ///   special token can come of it: `<turn|>` is then plain characters that mean nothing, and what somebody types
    ///   cannot end their turn or open the model's. The text that a chat template makes needs true; so encode what
    ///   the template writes and what people write apart, or make the latter harmless first.
    public func encode(_ text: String, controlTokens: Bool) -> [Int32] {
        var out: [Int32] = []
        let bytes = Array(text.utf8)[...]
        guard controlTokens else {
            encode(rewrite(bytes), barred: special, barredWhole: added, into: &out)
            return out
        }
        for part in raw.cut(bytes) {
            if let token = part.token {
                out.append(token)
                continue
            }
            let text = rewrite(bytes[part.range])
            for part in rewritten.cut(text) {
                if let token = part.token {
                    out.append(token)
                } else {
                    encode(text[part.range], barred: nil, barredWhole: nil, into: &out)
                }
            }
        }
        return out
    }

    /// The text of tokens.
    ///
    /// - Parameter skipSpecial: whether special tokens are left out; else they stand there as they are spelled.
    /// - Throws: `Refused`: no such token.
    public func decode(_ tokens: [Int32], skipSpecial: Bool = true) throws -> String {
        var decoder = StreamDecoder(self, skipSpecial: skipSpecial)
        var out: [UInt8] = []
        for token in tokens { out.append(contentsOf: try decoder.bytes(token)) }
        out.append(contentsOf: decoder.release())
        return String(decoding: out, as: UTF8.self)
    }

    /// A token as the file spells it (`▁the`, `<0x0A>`); nil where there is none of this id.
    public func text(of id: Int32) -> String? {
        piece(id).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The token that the file spells so: `<bos>`.
    public func id(of text: String) -> Int32? {
        let bytes = Array(text.utf8)
        return model.pieces.id(bytes) ?? more.first { $0.value == bytes }?.key
    }

    /// Whether a token steers the model and is no text.
    public func isSpecial(_ id: Int32) -> Bool {
        id >= 0 && id < special.count && special[Int(id)] || specialMore.contains(id)
    }

    func piece(_ id: Int32) -> ArraySlice<UInt8>? {
        model.pieces.piece(id) ?? more[id]?[...]
    }

    func unknown(_ token: Int32) -> Refused {
        Refused("no token \(token): the tokenizer has \(count)")
    }

    private func rewrite(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        rewriting.reduce(text) { $1.applied(to: $0) }
    }

    private func encode(
        _ text: ArraySlice<UInt8>, barred: [Bool]?, barredWhole: [Bool]?, into out: inout [Int32]
    ) {
        let stretches = splitting.reduce([text]) { parts, step in parts.flatMap(step.applied) }
        for stretch in stretches where !stretch.isEmpty {
            stretch.withUnsafeBytes { model.encode($0, barred: barred, barredWhole: barredWhole, into: &out) }
        }
    }
}
