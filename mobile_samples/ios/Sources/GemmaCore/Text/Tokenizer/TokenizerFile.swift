import Foundation

/// What a `tokenizer.json` says, checked. Members that this reader does not know are refused, not passed over.
struct TokenizerFile {
    static let maxBytes = 256 << 20

    let model: BytePairs
    let rewriting: [Rewriting]
    let splitting: [Splitting]
    let decoding: Decoding
    let added: [AddedToken]

    /// - Throws: `Refused`, in one line that begins with the file's name.
    static func read(_ url: URL) throws -> TokenizerFile {
        let name = url.lastPathComponent
        do {
            let data = try Data(contentsOf: url, options: .alwaysMapped)
            guard data.count <= maxBytes else {
                throw Refused("\(Size.of(Int64(data.count))); \(Size.of(Int64(maxBytes))) are allowed")
            }
            return try data.withUnsafeBytes { try TokenizerFile($0.bindMemory(to: UInt8.self)) }
        } catch let error as Refused {
            throw Refused("\(name): \(error.message)")
        } catch {
            throw Refused("\(name) cannot be read: \(error.localizedDescription)")
        }
    }

    private init(_ bytes: UnsafeBufferPointer<UInt8>) throws {
        var reader = JsonReader(bytes)
        var model: ModelReader?
        var entries: [Json] = []
        var parts: [String: Json] = [:]
        try reader.object { reader, key in
            switch key {
            case "version", "truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder":
                parts[key] = try reader.value()
            case "added_tokens": try reader.array { entries.append(try $0.value()) }
            case "model":
                var found = ModelReader()
                try found.read(&reader)
                model = found
            default: throw Refused("\(Json.quoted(key)) is not known to this app")
            }
        }
        try reader.end()
        guard parts["version"] == .text("1.0") else { throw Refused("the version is not \"1.0\"") }
        for key in ["truncation", "padding"] where parts[key] ?? .null != .null {
            throw Refused("\(key) is set; this app knows none")
        }
        // It puts tokens around a text, a start token for one: whoever encodes does that here.
        try TokenizerParts.checkPostProcessor(parts["post_processor"] ?? .null)
        guard let model else { throw Refused("there is no model") }
        rewriting = try TokenizerParts.normalizer(parts["normalizer"] ?? .null)
        splitting = try TokenizerParts.preTokenizer(parts["pre_tokenizer"] ?? .null)
        decoding = try TokenizerParts.decoder(parts["decoder"] ?? .null)
        self.model = try model.model()
        added = try TokenizerFile.added(entries, self.model.pieces)
    }

    private static func added(_ entries: [Json], _ pieces: Pieces) throws -> [AddedToken] {
        var out: [AddedToken] = []
        var texts = Set<[UInt8]>()
        var next = Int64(pieces.count)
        for (i, entry) in entries.enumerated() {
            let fields = try Fields(entry, "added_tokens[\(i)]")
            try fields.only("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special")
            let content = Array(try fields.text("content").utf8)
            guard !content.isEmpty, content.count <= 1024 else {
                throw fields.refused("content", "has \(content.count) bytes; 1 to 1024 are allowed")
            }
            let id = try fields.integer("id")
            // A token that the model has not gets the next number: a file that says otherwise is read otherwise by
            // the library, which does not tell.
            let known = pieces.id(content).map(Int64.init)
            guard id == known ?? next, id < Pieces.most else {
                throw fields.refused("id", "is \(id); \(shown(content)) is token \(known ?? next)")
            }
            guard known != nil || pieces.piece(Int32(id)) == nil else {
                throw fields.refused("id", "is \(id), which is another token's")
            }
            guard texts.insert(content).inserted else {
                throw fields.refused("content", "is \(shown(content)), as an earlier one is")
            }
            next = max(next, id + 1)
            out.append(
                AddedToken(
                    id: Int32(id), content: content, takesLeft: try fields.flag("lstrip"),
                    takesRight: try fields.flag("rstrip"), singleWord: try fields.flag("single_word"),
                    normalized: try fields.flag("normalized"), special: try fields.flag("special")))
        }
        return out
    }

    /// A piece for messages: quoted, and short.
    static func shown(_ piece: some Collection<UInt8>) -> String {
        let text = String(decoding: piece.prefix(160), as: UTF8.self)
        return Json.quoted(String(text.unicodeScalars.prefix(40))) + (piece.count > 160 ? " ..." : "")
    }
}
