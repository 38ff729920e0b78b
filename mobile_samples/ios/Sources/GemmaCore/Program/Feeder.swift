import Foundation

/// Makes the inputs of a call from the manifest alone: rows of tables, rotary rows, masks, the position.
public final class Feeder: Sendable {
    private struct Key: Hashable {
        let part: Int
        let function: String
    }

    public let calls: Calls
    private let tables: [String: RowTable]
    private let sources: [String: Calls.Input.Source]
    private let signatures: [Key: Signature]
    private let perLayer: Int32?

    /// Maps the tables.
    ///
    /// - Parameter folder: of the bundle.
    /// - Throws: `Refused`: the manifest does not say how the model is fed, or a table is not what it says.
    public init(_ manifest: Manifest, folder: URL) throws {
        guard let calls = manifest.feeding.calls else {
            throw Refused("manifest.feeding.calls is null: it is not said how this model is fed")
        }
        self.calls = calls
        perLayer = manifest.feeding.images?.cutting?.perLayer
        tables = try Dictionary(uniqueKeysWithValues: calls.tables.map { key, table in
            (key, try RowTable(table, file: folder.appendingPathComponent(table.file), name: key))
        })
        sources = Dictionary(calls.inputs.map { ($0.name, $0.source) }, uniquingKeysWith: { first, _ in first })
        guard sources.count == calls.inputs.count else { throw Refused("manifest.feeding.calls.inputs name one twice") }
        var signatures: [Key: Signature] = [:]
        for signature in manifest.signatures {
            for part in calls.parts.indices where signature.section == Feeder.section(part) {
                signatures[Key(part: part, function: signature.name)] = signature
            }
        }
        self.signatures = signatures
        for (part, each) in calls.parts.enumerated() {
            for name in each.functions.keys.sorted() where signatures[Key(part: part, function: name)] == nil {
                throw Refused("manifest.signatures have no \(name) of \(each.model)")
            }
        }
    }

    /// How the manifest calls the signatures of a part.
    static func section(_ part: Int) -> String {
        part == 0 ? "program" : "program, part \(part + 1)"
    }

    public func signature(part: Int, function: String) throws -> Signature {
        guard let found = signatures[Key(part: part, function: function)] else {
            throw Refused("no function \(function) in \(calls.parts[part].model)")
        }
        return found
    }

    /// Inputs of one call.
    ///
    /// - Parameters:
    ///   - first: position of the function's first row.
    ///   - slots: what stands from there on; the function's further rows are padding: zeros from tables, rotary and mask
    ///     rows of the positions that follow.
    ///   - earlier: outputs of earlier parts by name.
    package func inputs(
        part: Int, function: String, first: Int, _ slots: [Slot], earlier: [String: Tensor]
    ) throws -> [Tensor] {
        try signature(part: part, function: function).inputs.map { type in
            switch sources[type.name] {
            case .table(let key): return try rows(type, key, slots)
            case .position: return try Tensor(type, int32s: [Int32(first)])
            case .cosines(let name): return try turned(type, name, first, \.cosines)
            case .sines(let name): return try turned(type, name, first, \.sines)
            case .mask(let name): return try mask(type, name, first)
            case .ringRows(let name): return try ringRows(type, name, first, slots.count)
            case .earlierPart:
                guard let found = earlier[type.name] else {
                    throw Refused("\(function) of \(calls.parts[part].model) takes \(type.name), which no earlier part gave")
                }
                return try found.type.dtype == type.dtype
                    ? Tensor(type, bytes: found.bytes) : Tensor(type, floats: found.floats)
            case nil: throw Refused("\(function) takes \(type.name), and nothing says where it comes from")
            }
        }
    }

    private func rows(_ type: TensorType, _ key: String, _ slots: [Slot]) throws -> Tensor {
        guard let table = tables[key] else { throw Refused("no table \(key)") }
        let width = table.table.columns
        guard type.count % width == 0, slots.count <= type.count / width else {
            throw Refused("\(type.name) is \(type.shape); \(slots.count) rows of \(width) do not fit it")
        }
        var floats = [Float](repeating: 0, count: type.count)
        try floats.withUnsafeMutableBufferPointer { out in
            guard let base = out.baseAddress else { return }
            for (i, slot) in slots.enumerated() { try write(slot, table, into: base + i * width) }
        }
        return try Tensor(type, floats: floats)
    }

    /// A picture's row stands where a token's embedding does, and beside it in a table of layers that of `per_layer`.
    private func write(_ slot: Slot, _ table: RowTable, into out: UnsafeMutablePointer<Float>) throws {
        switch slot {
        case .token(let id): try table.write(row: id, into: out)
        case .row(let picture, let row):
            if table.table.shape.count == 1 {
                guard picture.width == table.table.columns else {
                    throw Refused("a picture's rows have \(picture.width), the table's \(table.table.columns)")
                }
                picture.write(row: row, into: out)
            } else {
                guard let beside = perLayer else {
                    throw Refused("feeding.images.per_layer is null; the model has such rows")
                }
                try table.write(row: beside, into: out)
            }
        }
    }

    /// Numbers of the row that is a token's embedding.
    ///
    /// - Throws: `Refused`: there is not one table of such rows.
    func width() throws -> Int {
        let found = tables.values.filter { $0.table.shape.count == 1 }
        guard found.count == 1 else { throw Refused("\(found.count) tables have rows without layers; one is known") }
        return found[0].table.columns
    }

    private struct Turned {
        var cosines: [Float]
        var sines: [Float]
    }

    private func turned(
        _ type: TensorType, _ name: String, _ first: Int, _ which: KeyPath<Turned, [Float]>
    ) throws -> Tensor {
        guard let rotary = calls.layerTypes[name]?.rotary else { throw Refused("no layer type \(name)") }
        let width = rotary.headDim
        guard type.shape.last == width else { throw Refused("\(type.name) is \(type.shape), its rows have \(width)") }
        var made = Turned(
            cosines: [Float](repeating: 0, count: type.count), sines: [Float](repeating: 0, count: type.count))
        made.cosines.withUnsafeMutableBufferPointer { cosines in
            made.sines.withUnsafeMutableBufferPointer { sines in
                guard let cosine = cosines.baseAddress, let sine = sines.baseAddress else { return }
                for row in 0..<(type.count / width) {
                    rotary.write(position: first + row, cosines: cosine + row * width, sines: sine + row * width)
                }
            }
        }
        return try Tensor(type, floats: made[keyPath: which])
    }

    private func mask(_ type: TensorType, _ name: String, _ first: Int) throws -> Tensor {
        guard let layers = calls.layerTypes[name] else { throw Refused("no layer type \(name)") }
        if let ring = layers.ring { return try mask(type, layers, ring, first) }
        let width = calls.chunks.context
        guard type.shape.last == width else { throw Refused("\(type.name) is \(type.shape), the context has \(width)") }
        var floats = [Float](repeating: 0, count: type.count)
        floats.withUnsafeMutableBufferPointer { out in
            for row in 0..<(out.count / width) {
                let each = UnsafeMutableBufferPointer(rebasing: out[(row * width)..<((row + 1) * width)])
                calls.mask.write(position: first + row, window: layers.window, into: each)
            }
        }
        return try Tensor(type, floats: floats)
    }

    /// A mask `[1, 1, n, ring + n]`.
    private func mask(_ type: TensorType, _ layers: LayerType, _ ring: Ring, _ first: Int) throws -> Tensor {
        let width = type.shape.last ?? 0
        guard width > ring.rows, type.count == (width - ring.rows) * width else {
            throw Refused("\(type.name) is \(type.shape), a ring has \(ring.rows) rows")
        }
        let length = width - ring.rows, columns = ring.columns(first: first, length: length)
        var floats = [Float](repeating: 0, count: type.count)
        floats.withUnsafeMutableBufferPointer { out in
            for row in 0..<length {
                let each = UnsafeMutableBufferPointer(rebasing: out[(row * width)..<((row + 1) * width)])
                calls.mask.write(position: first + row, window: layers.window, columns: columns, into: each)
            }
        }
        return try Tensor(type, floats: floats)
    }

    private func ringRows(_ type: TensorType, _ name: String, _ first: Int, _ count: Int) throws -> Tensor {
        guard let ring = calls.layerTypes[name]?.ring, type.count == ring.rows else {
            throw Refused("\(type.name) is \(type.shape), and no ring of \(name) has as many rows")
        }
        return try Tensor(type, int32s: ring.becomes(first: first, count: count))
    }
}
