/// Numbers of a call: name, shape, type, and the elements in this machine's order of bytes, row-major.
public struct Tensor: Sendable {
    public let type: TensorType
    public let bytes: [UInt8]

    /// - Throws: `Refused`: not the type's number of bytes.
    public init(_ type: TensorType, bytes: [UInt8]) throws {
        guard bytes.count == type.count * type.dtype.size else {
            throw Refused("\(type.name): \(bytes.count) bytes for \(type.shape) of \(type.dtype.rawValue)")
        }
        self.type = type
        self.bytes = bytes
    }

    /// Floats, rounded to the type's.
    ///
    /// - Throws: `Refused`: the type is no float, or another number of elements.
    public init(_ type: TensorType, floats: [Float]) throws {
        let bytes: [UInt8]
        switch type.dtype {
        case .float32: bytes = floats.withUnsafeBytes { Array($0) }
        case .float16: bytes = floats.map(Half.bits).withUnsafeBytes { Array($0) }
        case .int32, .int8: throw Refused("\(type.name) takes \(type.dtype.rawValue), it would be fed floats")
        }
        try self.init(type, bytes: bytes)
    }

    /// - Throws: `Refused`: the type is not int32, or another number of elements.
    public init(_ type: TensorType, int32s: [Int32]) throws {
        guard type.dtype == .int32 else { throw Refused("\(type.name) takes \(type.dtype.rawValue), it would be fed int32") }
        try self.init(type, bytes: int32s.withUnsafeBytes { Array($0) })
    }

    /// The elements of a float type.
    public var floats: [Float] {
        get throws {
            switch type.dtype {
            case .float32:
                return bytes.withUnsafeBytes { raw in
                    (0..<type.count).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
                }
            case .float16:
                return bytes.withUnsafeBytes { raw in
                    (0..<type.count).map { Half.value(raw.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)) }
                }
            case .int32, .int8: throw Refused("\(type.name) holds \(type.dtype.rawValue), no floats")
            }
        }
    }
}

extension ElementType {
    /// Bytes of an element.
    public var size: Int {
        switch self {
        case .float32, .int32: return 4
        case .float16: return 2
        case .int8: return 1
        }
    }
}
