import CoreGraphics
import Foundation
import GemmaChat
import GemmaCore
import ImageIO
import UniformTypeIdentifiers

/// Decodes pictures with what iOS has, which is more than an engine reads: also HEIC, WebP and AVIF.
///
/// ImageIO makes a picture small while it decodes it, and turns it as its EXIF data say.
enum Photos {
    /// Pixels of a thumbnail's longer side.
    private static let thumbnail = 640

    /// - Parameter available: bytes of memory that this app may still take.
    /// - Throws: `PictureTrouble`; nothing of it is left.
    static func read(_ data: Data, _ images: Images, into folder: URL, available: Int64) throws -> Picture {
        let none = [kCGImageSourceShouldCache: false] as CFDictionary
        guard let source = CGImageSourceCreateWithData(data as CFData, none), CGImageSourceGetCount(source) > 0 else {
            throw PictureTrouble.unreadable
        }
        let index = CGImageSourceGetPrimaryImageIndex(source)
        try checkWhole(CGImageSourceGetStatusAtIndex(source, index))
        let found = CGImageSourceCopyPropertiesAtIndex(source, index, none) as? [CFString: Any] ?? [:]
        let wide = found[kCGImagePropertyPixelWidth] as? Int ?? 0
        let high = found[kCGImagePropertyPixelHeight] as? Int ?? 0
        // Exif 2.32, tag 0x0112: from 5 on a side that was stored as a row stands upright.
        let lies = (found[kCGImagePropertyOrientation] as? Int ?? 1) > 4
        let size = lies ? Extent(high, wide) : Extent(wide, high)
        try PictureCheck.check(size, available: available)

        let upright = try opaque(small(source, index, images.longest(size)))
        let name = UUID().uuidString
        let picture = Picture(
            file: folder.appending(path: name + ".png"), thumbnail: folder.appending(path: name + ".jpg"), size: size)
        do {
            try write(upright, UTType.png, picture.file)
            try write(shrunk(upright), UTType.jpeg, picture.thumbnail)
        } catch {
            for file in [picture.file, picture.thumbnail] { try? FileManager.default.removeItem(at: file) }
            throw error
        }
        return picture
    }

    /// Of a file that ends too early ImageIO gives what is there, with grey below.
    private static func checkWhole(_ status: CGImageSourceStatus) throws {
        switch status {
        case .statusComplete: return
        case .statusIncomplete, .statusUnexpectedEOF, .statusReadingHeader: throw PictureTrouble.cutOff
        default: throw PictureTrouble.unreadable
        }
    }

    private static func small(_ source: CGImageSource, _ index: Int, _ longest: Int) throws -> CGImage {
        let options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true, kCGImageSourceCreateThumbnailWithTransform: true,
            kCGImageSourceThumbnailMaxPixelSize: longest,
        ]
        guard let image = CGImageSourceCreateThumbnailAtIndex(source, index, options as CFDictionary) else {
            throw PictureTrouble.unreadable
        }
        return image
    }

    private static func shrunk(_ image: CGImage) throws -> CGImage {
        let longer = max(image.width, image.height)
        let part = min(1, Double(thumbnail) / Double(longer))
        return try opaque(image, Extent(max(1, Int(part * Double(image.width))), max(1, Int(part * Double(image.height)))))
    }

    /// Over white, and in the colours of sRGB, which the engine takes every picture for.
    private static func opaque(_ image: CGImage, _ size: Extent? = nil) throws -> CGImage {
        let size = size ?? Extent(image.width, image.height)
        guard let colours = CGColorSpace(name: CGColorSpace.sRGB),
            let context = CGContext(
                data: nil, width: size.width, height: size.height, bitsPerComponent: 8, bytesPerRow: 0, space: colours,
                bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
        else { throw PictureTrouble.memory }
        let all = CGRect(x: 0, y: 0, width: size.width, height: size.height)
        context.interpolationQuality = .high
        context.setFillColor(gray: 1, alpha: 1)
        context.fill(all)
        context.draw(image, in: all)
        guard let drawn = context.makeImage() else { throw PictureTrouble.memory }
        return drawn
    }

    private static func write(_ image: CGImage, _ type: UTType, _ file: URL) throws {
        guard let out = CGImageDestinationCreateWithURL(file as CFURL, type.identifier as CFString, 1, nil) else {
            throw PictureTrouble.space
        }
        CGImageDestinationAddImage(out, image, nil)
        guard CGImageDestinationFinalize(out) else { throw PictureTrouble.space }
    }
}
