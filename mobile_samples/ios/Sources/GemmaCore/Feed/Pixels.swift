/// An upright picture without transparency, which is read some rows at a time: a large photo need not lie in memory
/// twice.
public protocol PixelRows {
    var size: Extent { get }

    /// Three bytes a pixel, red, green and blue, row by row.
    ///
    /// - Throws: `PictureTrouble`.
    func rgb(_ rows: Range<Int>) throws -> [UInt8]
}

/// Pixels in memory.
public struct Pixels: PixelRows, Equatable, Sendable {
    public let size: Extent
    /// Three bytes a pixel, row by row.
    public let bytes: [UInt8]

    /// - Throws: `Refused`: not three bytes for each pixel.
    public init(_ size: Extent, _ bytes: [UInt8]) throws {
        let (pixels, over) = size.width.multipliedReportingOverflow(by: size.height)
        guard size.width > 0, size.height > 0, !over, bytes.count / 3 == pixels, bytes.count % 3 == 0 else {
            throw Refused("\(bytes.count) bytes for \(size.width) x \(size.height) pixels")
        }
        self.size = size
        self.bytes = bytes
    }

    public func rgb(_ rows: Range<Int>) throws -> [UInt8] {
        Array(bytes[(3 * size.width * rows.lowerBound)..<(3 * size.width * rows.upperBound)])
    }
}
