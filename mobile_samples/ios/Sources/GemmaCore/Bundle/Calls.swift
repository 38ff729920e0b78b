/// What a call of a function takes: all that an app needs to feed a package, from the manifest alone.
///
/// Every rule is a word with one meaning; another word is refused, because this code does not do what it says.
public struct Calls: Sendable {
    /// By name: `sliding_attention`, `full_attention`.
    public let layerTypes: [String: LayerType]
    public let mask: Mask
    public let chunks: Chunks
    public let inputs: [Input]
    /// Names of the outputs that hold the logits of the next token.
    public let logits: String
    public let parts: [Part]
    public let tables: [String: Table]

    init(_ fields: Fields) throws {
        try fields.only("layer_types", "mask", "chunks", "inputs", "outputs", "parts", "tables")
        layerTypes = try each(fields.child("layer_types"), LayerType.init)
        mask = try Mask(fields.child("mask"))
        chunks = try Chunks(fields.child("chunks"))
        inputs = try fields.children("inputs").map(Input.init)
        let outputs = try fields.children("outputs")
        let meant = try outputs.filter { try $0.word("meaning", "logits", "nothing") == "logits" }
        guard meant.count == 1 else { throw fields.refused("outputs", "have logits \(meant.count) times") }
        logits = try meant[0].text("name")
        parts = try fields.children("parts").map(Part.init)
        guard !parts.isEmpty else { throw fields.refused("parts", "is empty") }
        tables = try each(fields.child("tables"), Table.init)
    }

    /// A table of embeddings beside the package: see `RowTable`.
    public struct Table: Equatable, Sendable {
        public let file: String
        public let rows: Int
        public let columns: Int
        public let bits: Int
        public let groups: Int
        public let rowBytes: Int
        public let rowsOffset: Int
        public let scalesOffset: Int
        public let multiplier: Double
        public let shape: [Int]

        public init(_ fields: Fields) throws {
            try fields.only(
                "file", "format", "rows", "columns", "bits", "groups", "row_bytes", "rows_offset", "scales_offset",
                "multiplier", "shape")
            file = try fields.text("file")
            _ = try fields.word("format", "GBROWS1")
            rows = try fields.count("rows")
            columns = try fields.count("columns")
            bits = try fields.count("bits")
            groups = try fields.count("groups")
            rowBytes = try fields.count("row_bytes")
            rowsOffset = try fields.count("rows_offset")
            scalesOffset = try fields.count("scales_offset")
            multiplier = try fields.number("multiplier")
            shape = try fields.counts("shape")
        }
    }

    /// Where an input of the functions comes from.
    public struct Input: Equatable, Sendable {
        public enum Source: Equatable, Sendable {
            case table(String)
            /// Of the call's first token.
            case position
            case cosines(String)
            case sines(String)
            case mask(String)
            case ringRows(String)
            case earlierPart
        }

        public let name: String
        public let source: Source

        init(_ fields: Fields) throws {
            try fields.only("name", "source", "table", "layer_type")
            name = try fields.text("name")
            switch try fields.word("source", "table", "position", "cosines", "sines", "mask", "ring_rows", "earlier_part") {
            case "table": source = .table(try fields.text("table"))
            case "position": source = .position
            case "cosines": source = .cosines(try fields.text("layer_type"))
            case "sines": source = .sines(try fields.text("layer_type"))
            case "mask": source = .mask(try fields.text("layer_type"))
            case "ring_rows": source = .ringRows(try fields.text("layer_type"))
            default: source = .earlierPart
            }
        }
    }

    /// A package, its functions and what they hand over.
    public struct Part: Sendable {
        public struct Linked: Equatable, Sendable {
            public let takes: [String]
            public let gives: [String]
        }

        public let model: String
        public let functions: [String: Linked]

        init(_ fields: Fields) throws {
            try fields.only("model", "functions", "states")
            model = try fields.text("model")
            guard Manifest.isName(Substring(model)) else { throw fields.refused("model", "is no name that is allowed") }
            functions = try each(fields.child("functions")) {
                try $0.only("takes", "gives")
                return Linked(takes: try $0.texts("takes"), gives: try $0.texts("gives"))
            }
        }
    }

    /// That everything which is named is there, and of the shape that it is fed in.
    func check(signatures: [Signature], files: [String: BundleFile], context: Int) throws {
        guard chunks.context == context else {
            throw Refused("manifest.feeding.calls.chunks.context is \(chunks.context), kv_cache.context \(context)")
        }
        for (key, table) in tables {
            guard let file = files[table.file] else { throw Refused("table \(key): no file \(Json.quoted(table.file))") }
            try RowTable.check(table, bytes: Int(file.bytes), name: key)
        }
        for input in inputs {
            switch input.source {
            case .table(let key): try known(input, tables[key] != nil, key)
            case .cosines(let type), .sines(let type), .mask(let type): try known(input, layerTypes[type] != nil, type)
            case .ringRows(let type): try known(input, layerTypes[type]?.ring != nil, type)
            case .position, .earlierPart: break
            }
        }
        let names = Set(inputs.map(\.name))
        for signature in signatures where signature.section.hasPrefix("program") {  // not what reads images
            for input in signature.inputs where !names.contains(input.name) {
                throw Refused("\(signature.name) takes \(Json.quoted(input.name)), which feeding.calls.inputs does not have")
            }
        }
        for name in chunks.lengths.map(\.function) + [Chunks.decode] where !signatures.contains(where: { $0.name == name }) {
            throw Refused("manifest.signatures have no function \(Json.quoted(name))")
        }
    }

    private func known(_ input: Input, _ found: Bool, _ what: String) throws {
        if !found { throw Refused("input \(input.name) comes from \(Json.quoted(what)), which is not there") }
    }
}

private func each<Value>(_ fields: Fields, _ make: (Fields) throws -> Value) throws -> [String: Value] {
    var made: [String: Value] = [:]
    for key in fields.keys { made[key] = try make(fields.child(key)) }
    return made
}
