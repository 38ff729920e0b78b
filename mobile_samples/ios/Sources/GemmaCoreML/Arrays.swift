#if canImport(CoreML)
import CoreML
import GemmaCore

extension MLMultiArray {
    /// A copy of a tensor.
    convenience init(_ tensor: Tensor) throws {
        try self.init(shape: tensor.type.shape.map { NSNumber(value: $0) }, dataType: tensor.type.dtype.multiArray())
        withUnsafeMutableBytes { bytes, _ in bytes.copyBytes(from: tensor.bytes) }  // a new array has no gaps
    }
}

extension Tensor {
    /// A copy of an output, whose rows may lie apart.
    init(_ name: String, _ array: MLMultiArray) throws {
        let shape = array.shape.map(\.intValue), strides = array.strides.map(\.intValue)
        let type = TensorType(name: name, shape: shape, dtype: try ElementType(array.dataType))
        let size = type.dtype.size
        let bytes = array.withUnsafeBytes { raw -> [UInt8] in
            var out = [UInt8]()
            out.reserveCapacity(type.count * size)
            var index = [Int](repeating: 0, count: shape.count)
            for _ in 0..<type.count {
                let at = size * zip(index, strides).reduce(0) { $0 + $1.0 * $1.1 }
                out.append(contentsOf: raw[at..<(at + size)])
                for axis in shape.indices.reversed() {
                    index[axis] += 1
                    if index[axis] < shape[axis] { break }
                    index[axis] = 0
                }
            }
            return out
        }
        try self.init(type, bytes: bytes)
    }
}

extension ElementType {
    fileprivate func multiArray() throws -> MLMultiArrayDataType {
        switch self {
        case .float32: return .float32
        case .float16: return .float16
        case .int32: return .int32
        case .int8: throw Refused("Core ML takes no int8 before iOS 26")
        }
    }

    fileprivate init(_ type: MLMultiArrayDataType) throws {
        switch type {
        case .float32: self = .float32
        case .float16: self = .float16
        case .int32: self = .int32
        default: throw Refused("an output of Core ML's type \(type.rawValue)")
        }
    }
}
#endif
