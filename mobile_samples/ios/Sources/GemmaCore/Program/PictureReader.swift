/// Makes rows of pictures: opens a file, gives it its size, cuts it into patches, and has a package read them.
package final class PictureReader: Sendable {
    package let cutting: Cutting
    private let images: Images
    private let sight: Sight
    private let need: Int64
    private let signatures: [String: Signature]
    private let width: Int

    /// Nil where the manifest does not say how an app cuts a picture.
    ///
    /// - Throws: `Refused`: the manifest's functions do not take what it says a picture becomes.
    init?(_ manifest: Manifest, _ sight: Sight, _ feeder: Feeder) throws {
        guard let images = manifest.feeding.images, let cutting = images.cutting else { return nil }
        self.images = images
        self.cutting = cutting
        self.sight = sight
        width = try feeder.width()
        need = manifest.memory.pictures
        var signatures: [String: Signature] = [:]
        for length in cutting.lengths {
            guard manifest.files.keys.contains(where: { $0.hasPrefix(length.model + "/") }) else {
                throw Refused("manifest.files have nothing of \(length.model)")
            }
            let named = manifest.signatures.first { $0.section == length.section && $0.name == length.function }
            guard let signature = named else { throw Refused("manifest.signatures have no \(length.function)") }
            try PictureReader.check(signature, length, cutting, width)
            signatures[length.function] = signature
        }
        self.signatures = signatures
    }

    private static func check(
        _ signature: Signature, _ length: Cutting.Length, _ cutting: Cutting, _ width: Int
    ) throws {
        let numbers = 3 * cutting.side * cutting.side
        let shapes = [length.numbers: [1, length.patches, numbers], length.positions: [1, length.patches, 2]]
        for input in signature.inputs where shapes[input.name] != input.shape {
            let given = shapes[input.name] ?? []
            throw Refused("\(signature.name) takes \(input.name) \(input.shape), pictures give \(given)")
        }
        guard signature.inputs.count == shapes.count else {
            throw Refused("\(signature.name) takes \(signature.inputs.count) inputs, pictures give \(shapes.count)")
        }
        let found = signature.outputs.first { $0.name == length.rows }?.shape ?? [], right = [1, length.tokens, width]
        guard found == right else {
            throw Refused("\(signature.name) gives \(length.rows) \(found), expected \(right)")
        }
    }

    /// How many rows a picture becomes; decodes nothing.
    ///
    /// - Throws: `PictureTrouble`, `Refused`.
    func count(_ file: String) throws -> Int {
        let size = try sight.open(file).size
        guard size.width > 0, size.height > 0 else { throw PictureTrouble.unreadable }
        return cutting.tokens(images.target(size))
    }

    /// Reads a picture.
    ///
    /// - Throws: `PictureTrouble`; `Refused`; `EngineError`.
    package func read(_ file: String) async throws -> PictureRows {
        let (count, length, inputs) = try cut(file)
        let out = try await sight.program.see(model: length.model, function: length.function, inputs: inputs)
        guard let rows = out[length.rows] else { throw EngineError.failed("\(length.function) gave no \(length.rows)") }
        guard rows.type.shape == [1, length.tokens, width] else {
            throw EngineError.failed("\(length.function) gave \(length.rows) \(rows.type.shape)")
        }
        return try PictureRows(rows.floats, count: count, width: width)
    }

    private func cut(_ file: String) throws -> (Int, Cutting.Length, [Tensor]) {
        let picture = try sight.open(file)
        guard picture.size.width > 0, picture.size.height > 0 else { throw PictureTrouble.unreadable }
        let target = images.target(picture.size), count = cutting.tokens(target), length = try cutting.length(count)
        let patches = try Patches(Bicubic.resized(picture, to: target), cutting).padded(length.patches)
        guard let signature = signatures[length.function] else { throw Refused("no function \(length.function)") }
        let inputs = try signature.inputs.map { type in
            type.name == length.numbers
                ? try Tensor(type, floats: patches.numbers) : try Tensor(type, int32s: patches.positions)
        }
        return (count, length, inputs)
    }

    /// Lets go of the package where memory is short: where another one of its size would not fit.
    func rest() async {
        if !MemoryCheck.keeps(need, available: sight.available()) { await sight.program.rest() }
    }

    func close() async {
        await sight.program.rest()
    }
}
