@_exported import Foundation

// What Swift bridges on Apple's systems is one type here, or any.
public typealias CFString = String
public typealias CFData = Any
public typealias CFDictionary = Any
public typealias CFURL = Any

public final class CGImage {
    public var width: Int { 0 }
    public var height: Int { 0 }
}

public final class CGColorSpace {
    public static var sRGB: CFString { "" }
    public init?(name: CFString) {}
}

public enum CGImageAlphaInfo: UInt32, Sendable { case none, premultipliedLast, noneSkipLast = 5 }
public enum CGInterpolationQuality: Int32, Sendable { case `default`, none, low, high }

public final class CGContext {
    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int, bytesPerRow: Int,
        space: CGColorSpace, bitmapInfo: UInt32
    ) {}
    public var data: UnsafeMutableRawPointer? { nil }
    public var interpolationQuality: CGInterpolationQuality = .default
    public func setFillColor(gray: CGFloat, alpha: CGFloat) {}
    public func fill(_ rect: CGRect) {}
    public func draw(_ image: CGImage, in rect: CGRect, byTiling: Bool = false) {}
    public func makeImage() -> CGImage? { nil }
}
