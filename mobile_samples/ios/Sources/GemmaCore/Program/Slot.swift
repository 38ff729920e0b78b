/// Rows that the model reads where a picture stands, float32 `[count, width]`: two of them are the same only if they
/// were made at once.
package final class PictureRows: Sendable {
    package let count: Int
    let width: Int
    private let floats: [Float]

    /// - Parameter floats: as many rows as are taken, or more.
    /// - Throws: `Refused`: fewer.
    package init(_ floats: [Float], count: Int, width: Int) throws {
        guard count > 0, width > 0, floats.count / width >= count else {
            throw Refused("a picture gave \(floats.count) numbers for \(count) rows of \(width)")
        }
        self.floats = Array(floats.prefix(count * width))
        self.count = count
        self.width = width
    }

    func write(row: Int, into out: UnsafeMutablePointer<Float>) {
        for i in 0..<width { out[i] = floats[row * width + i] }
    }
}

/// What stands at a position of a conversation.
package enum Slot: Equatable, Sendable {
    case token(Int32)
    /// Row of a picture.
    case row(PictureRows, Int)

    package static func == (one: Slot, other: Slot) -> Bool {
        switch (one, other) {
        case (.token(let id), .token(let its)): return id == its
        case (.row(let picture, let row), .row(let its, let number)): return picture === its && row == number
        default: return false
        }
    }

    /// A prompt in which each place of a picture has become its rows, with the tokens around them.
    ///
    /// - Parameters:
    ///   - ids: as the chat template prints them, one `each` for a picture.
    ///   - pictures: in their order.
    /// - Throws: `Refused`: there is another number of places.
    package static func spread(_ ids: [Int32], _ pictures: [PictureRows], _ cutting: Cutting) throws -> [Slot] {
        try check(ids, pictures.count, cutting)
        var left = pictures[...], slots: [Slot] = []
        for id in ids {
            guard id == cutting.each, let picture = left.popFirst() else {
                slots.append(.token(id))
                continue
            }
            slots.append(.token(cutting.begin))
            for row in 0..<picture.count { slots.append(.row(picture, row)) }
            slots.append(.token(cutting.end))
        }
        return slots
    }

    static func check(_ ids: [Int32], _ pictures: Int, _ cutting: Cutting) throws {
        let places = ids.count { $0 == cutting.each }
        guard places == pictures else {
            throw Refused("the chat template prints \(places) places for \(pictures) pictures")
        }
    }
}
