import Foundation
import GemmaCore

// Floats go to a file, as they lie in memory.

private func write(_ floats: [Float], _ path: String) throws -> Json {
    try floats.withUnsafeBytes { try Data($0).write(to: URL(fileURLWithPath: path)) }
    return .object(["count": .integer(Int64(floats.count))])
}

/// A picture of a file that holds `<width> <height>`, a newline, and three bytes a pixel.
func rawPicture(_ path: String) throws -> any PixelRows {
    guard let file = FileManager.default.contents(atPath: path) else { throw PictureTrouble.gone }
    guard let end = file.firstIndex(of: UInt8(ascii: "\n")) else { throw PictureTrouble.unreadable }
    let sides = String(decoding: file[..<end], as: UTF8.self).split(separator: " ").compactMap { Int($0) }
    guard sides.count == 2 else { throw PictureTrouble.unreadable }
    return try Pixels(Extent(sides[0], sides[1]), [UInt8](file[(end + 1)...]))
}

let feedCommands: [String: Command] = [
    // A picture in another size: its bytes.
    "resize": { asked in
        let target = Extent(try asked.count("width"), try asked.count("height"))
        let made = try Bicubic.resized(rawPicture(asked.text("file")), to: target)
        try Data(made.bytes).write(to: URL(fileURLWithPath: try asked.text("out")))
        return .object(["count": .integer(Int64(made.bytes.count))])
    },
    // A picture cut as a manifest's `feeding.images` say: numbers of its patches to one file, positions to another.
    "cut": { asked in
        let images = try Images(asked.child("images"))
        guard let cutting = images.cutting else { throw Refused("the runtime cuts") }
        let picture = try rawPicture(asked.text("file")), target = images.target(picture.size)
        let tokens = cutting.tokens(target), length = try cutting.length(tokens)
        let (numbers, positions) = try Patches(Bicubic.resized(picture, to: target), cutting).padded(length.patches)
        try positions.withUnsafeBytes { try Data($0).write(to: URL(fileURLWithPath: asked.text("positions"))) }
        _ = try write(numbers, asked.text("numbers"))
        return .object(["tokens": .integer(Int64(tokens)), "function": .text(length.function)])
    },
    // Rows of a table, one after the other; `table` as a manifest says it.
    "rows": { asked in
        let stated = try Calls.Table(asked.child("table"))
        let table = try RowTable(stated, file: URL(fileURLWithPath: try asked.text("file")), name: "rows")
        let ids = try asked.int32s("ids")
        var floats = [Float](repeating: 0, count: ids.count * stated.columns)
        try floats.withUnsafeMutableBufferPointer { out in
            guard let base = out.baseAddress else { return }
            for (i, id) in ids.enumerated() { try table.write(row: id, into: base + i * stated.columns) }
        }
        return try write(floats, asked.text("out"))
    },
    // Cosines of all positions, then sines.
    "rotary": { asked in
        let rotary = try LayerType(asked.child("type")).rotary, positions = try asked.counts("positions")
        let count = positions.count * rotary.headDim
        var cosines = [Float](repeating: 0, count: count), sines = cosines
        cosines.withUnsafeMutableBufferPointer { cosine in
            sines.withUnsafeMutableBufferPointer { sine in
                guard let c = cosine.baseAddress, let s = sine.baseAddress else { return }
                for (i, position) in positions.enumerated() {
                    rotary.write(position: position, cosines: c + i * rotary.headDim, sines: s + i * rotary.headDim)
                }
            }
        }
        return try write(cosines + sines, asked.text("out"))
    },
    // Of a call in a ring: its mask, then what each row becomes, float32 and int32.
    "ring": { asked in
        let type = try LayerType(asked.child("type")), mask = try Mask(asked.child("mask"))
        guard let ring = type.ring else { throw Refused("the layers have no ring") }
        let first = try asked.count("first"), length = try asked.count("length")
        let columns = ring.columns(first: first, length: length)
        var floats = [Float](repeating: 0, count: length * columns.count)
        floats.withUnsafeMutableBufferPointer { out in
            for i in 0..<length {
                let begin = i * columns.count
                let row = UnsafeMutableBufferPointer(rebasing: out[begin..<(begin + columns.count)])
                mask.write(position: first + i, window: type.window, columns: columns, into: row)
            }
        }
        let becomes = ring.becomes(first: first, count: try asked.count("count"))
        return try write(floats + becomes.map { Float(bitPattern: UInt32(bitPattern: $0)) }, asked.text("out"))
    },
    // Whether each conversation of a list, [position, reached], can go on there.
    "holds": { asked in
        let type = try LayerType(asked.child("type"))
        guard let ring = type.ring, let window = type.window else { throw Refused("the layers have no ring") }
        let positions = try asked.counts("positions"), reached = try asked.counts("reached")
        let found = zip(positions, reached).map { ring.holds(before: $0, reached: $1, window: window) }
        return .object(["holds": .array(found.map { .flag($0) })])
    },
    "mask": { asked in
        let window = try LayerType(asked.child("type")).window, mask = try Mask(asked.child("mask"))
        let positions = try asked.counts("positions"), width = try asked.count("context")
        var floats = [Float](repeating: 0, count: positions.count * width)
        floats.withUnsafeMutableBufferPointer { out in
            for (i, position) in positions.enumerated() {
                let row = UnsafeMutableBufferPointer(rebasing: out[(i * width)..<((i + 1) * width)])
                mask.write(position: position, window: window, into: row)
            }
        }
        return try write(floats, asked.text("out"))
    },
    // The calls of each conversation of a file: a line each, [context, lengths, filled, count].
    "plan": { asked in
        let lines = try Json.parse(bytes(asked.text("file")))
        guard case .array(let cases) = lines else { throw Refused("no array") }
        let plans: [Json] = try cases.map { each in
            let fields = try Fields(each, "case")
            let lengths = try fields.counts("lengths").map { Chunks.Length(function: "prefill_\($0)", tokens: $0) }
            let chunks = Chunks(context: try fields.count("context"), lengths: lengths)
            let calls = chunks.calls(filled: try fields.count("filled"), count: try fields.count("count"))
            return .array(calls.map { .array([$0.length, $0.first, $0.end].map { .integer(Int64($0)) }) })
        }
        return .object(["plans": .array(plans)])
    },
    // Tokens drawn one after the other from rows of logits in a file, [draws, vocabulary] float32.
    "draw": { asked in
        let raw = try bytes(asked.text("file")), vocabulary = try asked.count("vocabulary")
        let logits = raw.withUnsafeBytes { buffer in
            (0..<(buffer.count / 4)).map { buffer.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
        let sampling = Sampling(
            topK: try asked.count("top_k"), topP: try asked.number("top_p"), temperature: try asked.number("temperature"),
            seed: UInt64(try asked.count("seed")))
        var sampler = Sampler(sampling, suppressed: try asked.int32s("suppressed"))
        let tokens: [Json] = logits.withUnsafeBufferPointer { all in
            stride(from: 0, to: all.count, by: vocabulary).map { begin in
                sampler.draw(UnsafeBufferPointer(rebasing: all[begin..<(begin + vocabulary)]))
                    .map { .integer(Int64($0)) } ?? .null
            }
        }
        return .object(["tokens": .array(tokens)])
    },
    // Bits of halves of floats in a file, and the floats of these.
    "half": { asked in
        let raw = try bytes(asked.text("file"))
        let halves = raw.withUnsafeBytes { buffer in
            (0..<(buffer.count / 4)).map { Half.bits(buffer.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)) }
        }
        try halves.withUnsafeBytes { try Data($0).write(to: URL(fileURLWithPath: asked.text("out"))) }
        return try write(halves.map(Half.value), asked.text("back"))
    },
]
