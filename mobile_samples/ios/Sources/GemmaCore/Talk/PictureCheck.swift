/// Why a picture cannot be taken.
public enum PictureTrouble: String, Error, Sendable, CaseIterable {
    /// Whoever offers it gives no bytes of it.
    case gone
    /// No picture, of a kind that the device cannot decode, or damaged.
    case unreadable
    /// The file ends before the picture does.
    case cutOff
    /// More bytes or pixels than any camera's.
    case tooLarge
    /// More memory than is free.
    case memory
    /// No room to keep a copy.
    case space
}

/// Looks at the size that a picture's file says it has, before a pixel is decoded: a file of a few kilobytes that says
/// it is huge costs nothing.
public enum PictureCheck {
    /// Of a file.
    public static let mostBytes = 1 << 27
    /// Of a file: those of the largest cameras of phones (200 million) and some more.
    public static let mostPixels = 1 << 28
    /// Of each pixel, while it is decoded and made smaller: two bytes of three colours, as of a progressive JPEG.
    static let bytesPerPixel: Int64 = 6

    /// - Parameter available: bytes of memory that this app may still take.
    /// - Throws: `PictureTrouble`.
    public static func check(_ size: Extent, available: Int64) throws {
        guard size.width > 0, size.height > 0 else { throw PictureTrouble.unreadable }
        let (pixels, over) = size.width.multipliedReportingOverflow(by: size.height)
        guard !over, pixels <= mostPixels else { throw PictureTrouble.tooLarge }
        guard Int64(pixels) * bytesPerPixel <= available else { throw PictureTrouble.memory }
    }
}
