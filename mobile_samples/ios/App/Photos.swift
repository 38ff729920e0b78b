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

    /// For an engine that is given a file the picture is made small and written as PNG. One that cuts pictures itself
    /// makes them small by the manifest's own filter, so it opens the file as it came.
    ///
    /// - Parameter available: bytes of memory that this app may still take.
    /// - Throws: `PictureTrouble`; nothing of it is left.
    static func read(_ data: Data, _ images: Images, into folder: URL, available: Int64) throws -> Picture {
        let photo = try Photo(data, available: available), size = photo.size
        let asItCame = images.cutting != nil
        let upright = try opaque(photo.decoded(longest: asItCame ? thumbnail : images.longest(size)))
        let name = UUID().uuidString
        let picture = Picture(
            file: folder.appending(path: asItCame ? name : name + ".png"),
            thumbnail: folder.appending(path: name + ".jpg"), size: size)
        do {
            if asItCame { try keep(data, picture.file) } else { try write(upright, UTType.png, picture.file) }
            try write(shrunk(upright), UTType.jpeg, picture.thumbnail)
        } catch {
            for file in [picture.file, picture.thumbnail] { try? FileManager.default.removeItem(at: file) }
            throw error
        }
        return picture
    }

    private static func keep(_ data: Data, _ file: URL) throws {
        do {
            try data.write(to: file)
        } catch {
            throw PictureTrouble.space
        }
    }

    private static func shrunk(_ image: CGImage) throws -> CGImage {
        let longer = max(image.width, image.height)
        let part = min(1, Double(thumbnail) / Double(longer))
        return try opaque(image, Extent(max(1, Int(part * Double(image.width))), max(1, Int(part * Double(image.height)))))
    }

    private static func opaque(_ image: CGImage, _ size: Extent? = nil) throws -> CGImage {
        let size = size ?? Extent(image.width, image.height)
        let context = try white(size)
        context.interpolationQuality = .high
        context.draw(image, in: CGRect(x: 0, y: 0, width: size.width, height: size.height))
        guard let drawn = context.makeImage() else { throw PictureTrouble.memory }
        return drawn
    }

    /// A white sheet in the colours of sRGB, which the engine takes every picture for: four bytes a pixel, red, green and
    /// blue first.
    static func white(_ size: Extent) throws -> CGContext {
        guard let colours = CGColorSpace(name: CGColorSpace.sRGB),
            let context = CGContext(
                data: nil, width: size.width, height: size.height, bitsPerComponent: 8, bytesPerRow: 4 * size.width,
                space: colours, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
        else { throw PictureTrouble.memory }
        context.setFillColor(gray: 1, alpha: 1)
        context.fill(CGRect(x: 0, y: 0, width: size.width, height: size.height))
        return context
    }

    private static func write(_ image: CGImage, _ type: UTType, _ file: URL) throws {
        guard let out = CGImageDestinationCreateWithURL(file as CFURL, type.identifier as CFString, 1, nil) else {
            throw PictureTrouble.space
        }
        CGImageDestinationAddImage(out, image, nil)
        guard CGImageDestinationFinalize(out) else { throw PictureTrouble.space }
    }
}
