import CoreGraphics
import Foundation
import GemmaCore
import ImageIO

/// A picture's file. Nothing is decoded before somebody asks for pixels; they are upright then.
struct Photo {
    /// Upright, in pixels.
    let size: Extent
    private let source: CGImageSource
    private let index: Int

    /// - Parameter available: bytes of memory that this app may still take.
    /// - Throws: `PictureTrouble`.
    init(_ data: Data, available: Int64) throws {
        let none = [kCGImageSourceShouldCache: false] as CFDictionary
        guard let source = CGImageSourceCreateWithData(data as CFData, none), CGImageSourceGetCount(source) > 0 else {
            throw PictureTrouble.unreadable
        }
        self.source = source
        index = CGImageSourceGetPrimaryImageIndex(source)
        try Photo.checkWhole(CGImageSourceGetStatusAtIndex(source, index))
        let found = CGImageSourceCopyPropertiesAtIndex(source, index, none) as? [CFString: Any] ?? [:]
        let wide = found[kCGImagePropertyPixelWidth] as? Int ?? 0
        let high = found[kCGImagePropertyPixelHeight] as? Int ?? 0
        // Exif 2.32, tag 0x0112: from 5 on a side that was stored as a row stands upright.
        let lies = (found[kCGImagePropertyOrientation] as? Int ?? 1) > 4
        size = lies ? Extent(high, wide) : Extent(wide, high)
        try PictureCheck.check(size, available: available)
    }

    /// Made small while it is decoded, and turned.
    ///
    /// - Parameter longest: pixels of the longer side, at most.
    func decoded(longest: Int) throws -> CGImage {
        let options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true, kCGImageSourceCreateThumbnailWithTransform: true,
            kCGImageSourceThumbnailMaxPixelSize: longest,
        ]
        guard let image = CGImageSourceCreateThumbnailAtIndex(source, index, options as CFDictionary) else {
            throw PictureTrouble.unreadable
        }
        return image
    }

    /// Of a file that ends too early ImageIO gives what is there, with grey below.
    private static func checkWhole(_ status: CGImageSourceStatus) throws {
        switch status {
        case .statusComplete: return
        case .statusIncomplete, .statusUnexpectedEOF, .statusReadingHeader: throw PictureTrouble.cutOff
        default: throw PictureTrouble.unreadable
        }
    }
}

/// The pixels of a photo in its own size, over white: decoded once, when the first rows are asked for.
final class PhotoRows: PixelRows {
    let size: Extent
    private let photo: Photo
    private var image: CGImage?

    /// - Throws: `PictureTrouble`.
    init(_ file: String, available: Int64) throws {
        guard let data = try? Data(contentsOf: URL(filePath: file)) else { throw PictureTrouble.gone }
        photo = try Photo(data, available: available)
        size = photo.size
    }

    func rgb(_ rows: Range<Int>) throws -> [UInt8] {
        let image = try image ?? photo.decoded(longest: max(size.width, size.height))
        self.image = image
        guard Extent(image.width, image.height) == size else { throw PictureTrouble.unreadable }
        let sheet = try Photos.white(Extent(size.width, rows.count))
        sheet.interpolationQuality = .none
        // The rows of a sheet are counted from below.
        sheet.draw(image, in: CGRect(x: 0, y: rows.upperBound - size.height, width: size.width, height: size.height))
        guard let drawn = sheet.data else { throw PictureTrouble.memory }
        let count = size.width * rows.count, bytes = UnsafeRawBufferPointer(start: drawn, count: 4 * count)
        return [UInt8](unsafeUninitializedCapacity: 3 * count) { out, filled in
            for i in 0..<count {
                for channel in 0..<3 { out[3 * i + channel] = bytes[4 * i + channel] }
            }
            filled = 3 * count
        }
    }
}
