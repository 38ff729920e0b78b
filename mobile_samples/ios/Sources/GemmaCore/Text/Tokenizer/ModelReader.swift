/// Reads the `model` of a `tokenizer.json`: two large tables, which never become a tree of JSON.
struct ModelReader {
    private var settings: [String: Json] = [:]
    private var pieces: Pieces?
    private var hasMerges = false
    /// Left and right pieces of the merges one after another, and where each ends. The vocabulary may come later.
    private var bytes: [UInt8] = []
    private var ends: [Int32] = []

    mutating func read(_ reader: inout JsonReader) throws {
        try reader.object { reader, key in
            switch key {
            case "vocab": pieces = try ModelReader.vocabulary(&reader)
            case "merges":
                hasMerges = true
                try reader.array { try merge(&$0) }
            case "type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                "byte_fallback", "ignore_merges":
                settings[key] = try reader.value()
            default: throw Refused("model.\(key) is not known to this app")
            }
        }
    }

    /// The model, its merges found in its vocabulary.
    func model() throws -> BytePairs {
        guard settings["type"] == .text("BPE") else { throw Refused("model.type is not \"BPE\"") }
        for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
            let value = settings[key] ?? .null
            guard [.null, .text(""), key == "dropout" ? .number(0) : .null].contains(value) else {
                throw Refused("model.\(key) is set; this app knows none")
            }
        }
        guard let pieces else { throw Refused("model.vocab is missing") }
        guard hasMerges else { throw Refused("model.merges is missing") }
        var unknown: Int32?
        switch settings["unk_token"] ?? .null {
        case .null: break
        case .text(let text):
            guard let id = pieces.id(Array(text.utf8)) else {
                throw Refused("model.unk_token is \(TokenizerFile.shown(text.utf8)), which the vocabulary lacks")
            }
            unknown = id
        default: throw Refused("model.unk_token is not a text")
        }
        return BytePairs(
            pieces: pieces, merges: try merges(pieces), unknown: unknown, fuseUnknown: try flag("fuse_unk"),
            byteTokens: try flag("byte_fallback") ? ModelReader.byteTokens(pieces) : nil,
            wholePieces: try flag("ignore_merges"))
    }

    private func flag(_ key: String) throws -> Bool {
        switch settings[key] ?? .null {
        case .null: return false
        case .flag(let value): return value
        default: throw Refused("model.\(key) is not true or false")
        }
    }

    private static func vocabulary(_ reader: inout JsonReader) throws -> Pieces {
        var pieces = Pieces()
        try reader.object(unique: false) { reader, piece in
            let id = try reader.integer()
            guard id >= 0, id < Pieces.most else {
                throw Refused(
                    "model.vocab gives \(TokenizerFile.shown(piece.utf8)) the id \(id); "
                        + "0 to \(Pieces.most - 1) are allowed")
            }
            guard pieces.add(piece.utf8, Int(id)) else {
                throw Refused("model.vocab has \(TokenizerFile.shown(piece.utf8)) or its id \(id) twice")
            }
        }
        return pieces
    }

    private static func byteTokens(_ pieces: Pieces) -> [Int32] {
        (0..<256).map { byte in
            let digits = String(byte, radix: 16, uppercase: true)
            return pieces.id(Array("<0x\(digits.count < 2 ? "0" : "")\(digits)>".utf8)) ?? -1
        }
    }

    private mutating func merge(_ reader: inout JsonReader) throws {
        if try reader.peek() == UInt8(ascii: "[") {
            var count = 0
            try reader.array { reader in
                count += 1
                bytes.append(contentsOf: try reader.text().utf8)
                ends.append(Int32(bytes.count))
            }
            guard count == 2 else { throw reader.wrong("a merge of \(count) pieces instead of 2") }
        } else {
            let line = try reader.text().utf8
            if line.starts(with: "#version".utf8) { return }  // as older files begin
            let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw reader.wrong("a merge of \(parts.count) pieces instead of 2") }
            for part in parts {
                bytes.append(contentsOf: part)
                ends.append(Int32(bytes.count))
            }
        }
    }

    private func merges(_ pieces: Pieces) throws -> Merges {
        var merges = Merges(reserving: ends.count / 2)
        try bytes.withUnsafeBytes { all in
            var begin = 0
            for i in stride(from: 0, to: ends.count, by: 2) {
                let middle = Int(ends[i])
                let end = Int(ends[i + 1])
                func id(_ range: Range<Int>) throws -> Int32 {
                    let piece = UnsafeRawBufferPointer(rebasing: all[range])
                    guard let id = pieces.id(piece) else {
                        throw Refused(
                            "model.merges[\(i / 2)] needs \(TokenizerFile.shown(piece)), which the vocabulary lacks")
                    }
                    return id
                }
                merges.add(try id(begin..<middle), try id(middle..<end), makes: try id(begin..<end))
                begin = end
            }
        }
        return merges
    }
}
