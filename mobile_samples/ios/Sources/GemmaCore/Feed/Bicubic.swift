/// Makes a picture smaller or larger as the filter `bicubic` of the manifest says, to the bit as pillow 13.0.0 does it
/// for eight bits a channel: one direction first, then the other, each with weights in fixed point, and rounded to a
/// byte in between.
///
/// The cubic is Keys' (1981) with a = -0.5, as much wider as the picture is made smaller.
public enum Bicubic {
    /// Rows that are asked for at once.
    private static let batch = 64

    /// Whether the vertical direction comes first, which changes what is rounded in between. Found by trying pillow with
    /// many sizes: it does where the picture becomes lower by more than twice the pixels by which it becomes
    /// narrower.
    static func verticalFirst(_ size: Extent, _ target: Extent) -> Bool {
        target.height < size.height && size.height - target.height > 2 * (size.width - target.width)
    }

    /// The picture in another size; one that has it already is not touched.
    ///
    /// - Throws: what the picture throws; `Refused`: it gives another number of bytes than it should.
    public static func resized(_ picture: some PixelRows, to target: Extent) throws -> Pixels {
        let size = picture.size, verticalFirst = verticalFirst(size, target)
        let across = Taps(size.width, to: target.width), down = Taps(size.height, to: target.height)
        let width = 3 * target.width
        // Rows of the picture, or what became of their width; row r lies at r modulo their number.
        var window = Rows(verticalFirst ? 3 * size.width : width, count: down.most)
        var lowered = Rows(window.width, count: 1), out = Rows(width, count: target.height)
        var source = Rows(3 * size.width, []), begin = 0, next = 0
        for y in 0..<target.height {
            while next < down.first[y] + down.count[y] {
                if next == begin + source.count {
                    let some = next..<min(next + batch, size.height)
                    source = Rows(3 * size.width, try picture.rgb(some))
                    begin = next
                    guard source.count == some.count else {
                        throw Refused("a picture gave \(source.count) rows for \(some.count)")
                    }
                }
                if verticalFirst {
                    window.copy(source, next - begin, to: next % down.most)
                } else {
                    across.narrow(source, next - begin, into: &window, next % down.most)
                }
                next += 1
            }
            if verticalFirst {
                down.lower(window, y, into: &lowered, 0)
                across.narrow(lowered, 0, into: &out, y)
            } else {
                down.lower(window, y, into: &out, y)
            }
        }
        return try Pixels(target, out.bytes)
    }
}

/// Rows of bytes, three a pixel.
private struct Rows {
    let width: Int
    var bytes: [UInt8]

    init(_ width: Int, count: Int) {
        self.init(width, [UInt8](repeating: 0, count: width * count))
    }

    init(_ width: Int, _ bytes: [UInt8]) {
        self.width = width
        self.bytes = bytes
    }

    var count: Int { bytes.count % width == 0 ? bytes.count / width : 0 }

    mutating func copy(_ from: Rows, _ row: Int, to place: Int) {
        let line = from.bytes[(row * width)..<((row + 1) * width)]
        bytes.replaceSubrange((place * width)..<((place + 1) * width), with: line)
    }
}

/// Which pixels of a line make each pixel of another one, and with which weights.
private struct Taps {
    /// Bits behind the point of a weight: 32, less the 8 of a byte and 2 for sums beyond it.
    static let bits = 22
    private static let half = 1 << (bits - 1)
    private static let support = 2.0

    let first: [Int]
    let count: [Int]
    /// Of one pixel, at most.
    let most: Int
    private let weights: [Int]

    init(_ from: Int, to: Int) {
        guard from != to else {
            first = Array(0..<to)
            count = [Int](repeating: 1, count: to)
            most = 1
            weights = [Int](repeating: 1 << Taps.bits, count: to)
            return
        }
        let scale = Double(from) / Double(to), wider = max(scale, 1), support = Taps.support * wider
        let most = Int(support.rounded(.up)) * 2 + 1
        var first: [Int] = [], count: [Int] = []
        var weights = [Int](repeating: 0, count: to * most)
        for i in 0..<to {
            let center = (Double(i) + 0.5) * scale
            let begin = max(0, Int(center - support + 0.5)), end = min(from, Int(center + support + 0.5))
            let cubics = (begin..<end).map { Taps.cubic((Double($0) - center + 0.5) * (1 / wider)) }
            let sum = cubics.reduce(0, +)
            for (j, cubic) in cubics.enumerated() {
                let weight = (sum == 0 ? cubic : cubic / sum) * Double(1 << Taps.bits)
                weights[i * most + j] = Int(weight < 0 ? weight - 0.5 : weight + 0.5)
            }
            first.append(begin)
            count.append(end - begin)
        }
        self.first = first
        self.count = count
        self.most = most
        self.weights = weights
    }

    /// Keys' cubic, a = -0.5.
    private static func cubic(_ x: Double) -> Double {
        let a = -0.5, x = abs(x)
        if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
    }

    private static func byte(_ sum: Int) -> UInt8 {
        UInt8(clamping: sum >> bits)
    }

    /// Makes a row as wide as the target.
    func narrow(_ from: Rows, _ row: Int, into out: inout Rows, _ place: Int) {
        let begin = row * from.width, to = place * out.width
        from.bytes.withUnsafeBufferPointer { source in
            out.bytes.withUnsafeMutableBufferPointer { made in
                weights.withUnsafeBufferPointer { weights in
                    for i in first.indices {
                        var red = Taps.half, green = Taps.half, blue = Taps.half
                        for j in 0..<count[i] {
                            let weight = weights[i * most + j], at = begin + 3 * (first[i] + j)
                            red += weight * Int(source[at])
                            green += weight * Int(source[at + 1])
                            blue += weight * Int(source[at + 2])
                        }
                        made[to + 3 * i] = Taps.byte(red)
                        made[to + 3 * i + 1] = Taps.byte(green)
                        made[to + 3 * i + 2] = Taps.byte(blue)
                    }
                }
            }
        }
    }

    /// Makes row `y` of the target from rows that lie at their number modulo `most`.
    func lower(_ from: Rows, _ y: Int, into out: inout Rows, _ place: Int) {
        let width = out.width
        var sums = [Int](repeating: Taps.half, count: width)
        from.bytes.withUnsafeBufferPointer { rows in
            for j in 0..<count[y] {
                let weight = weights[y * most + j], begin = (first[y] + j) % most * width
                for i in 0..<width { sums[i] += weight * Int(rows[begin + i]) }
            }
        }
        for i in 0..<width { out.bytes[place * width + i] = Taps.byte(sums[i]) }
    }
}
