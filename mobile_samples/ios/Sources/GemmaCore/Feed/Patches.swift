/// A picture as the numbers of its patches, row by row from the top left.
public struct Patches: Sendable {
    /// `[count, 3 * side * side]`: of each patch row by row, pixel by pixel, red, green and blue beside each other.
    public let numbers: [Float]
    /// `[count, 2]`: column and row of each.
    public let positions: [Int32]
    public let count: Int
    private let padding: Int32

    /// - Parameter picture: in the size that it gets: `Images.target`.
    /// - Throws: `Refused`: its sides are no multiples of a patch's.
    public init(_ picture: Pixels, _ cutting: Cutting) throws {
        let side = cutting.side, wide = picture.size.width / side, high = picture.size.height / side
        guard picture.size == Extent(wide * side, high * side) else {
            throw Refused("a picture of \(picture.size.width) x \(picture.size.height) pixels, patches have \(side)")
        }
        let worth = (0...255).map { Float(Double($0) * cutting.scale) }
        var numbers: [Float] = [], positions: [Int32] = []
        numbers.reserveCapacity(picture.bytes.count)
        for y in 0..<high {
            for x in 0..<wide {
                positions += [Int32(x), Int32(y)]
                for line in 0..<side {
                    let begin = 3 * ((y * side + line) * picture.size.width + x * side)
                    for byte in picture.bytes[begin..<(begin + 3 * side)] { numbers.append(worth[Int(byte)]) }
                }
            }
        }
        self.numbers = numbers
        self.positions = positions
        count = wide * high
        padding = cutting.padding
    }

    /// Numbers and positions for a call that takes so many patches: zeros and the padding's position behind its own.
    ///
    /// - Throws: `Refused`: the picture has more.
    public func padded(_ patches: Int) throws -> (numbers: [Float], positions: [Int32]) {
        guard patches >= count else { throw Refused("a picture has \(count) patches, a call takes \(patches)") }
        let more = patches - count, width = numbers.count / max(1, count)
        let places = [Int32](repeating: padding, count: 2 * more)
        return (numbers + [Float](repeating: 0, count: more * width), positions + places)
    }
}
