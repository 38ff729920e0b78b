/// Type of an element of an input or an output.
public enum ElementType: String, Sendable {
    case float32, float16, int32, int8
}

/// An input or an output of a function: name, shape, type.
public struct TensorType: Equatable, Sendable {
    public let name: String
    public let shape: [Int]
    public let dtype: ElementType

    public init(name: String, shape: [Int], dtype: ElementType) {
        self.name = name
        self.shape = shape
        self.dtype = dtype
    }

    public init(_ fields: Fields) throws {
        try fields.only("name", "shape", "dtype")
        name = try fields.text("name")
        shape = try fields.counts("shape")
        guard shape.count <= 8, shape.reduce(1, { $0.multipliedReportingOverflow(by: $1).partialValue }) < 1 << 31,
            shape.allSatisfy({ $0 < 1 << 31 })
        else { throw fields.refused("shape", "is \(shape)") }
        let word = try fields.text("dtype")
        guard let type = ElementType(rawValue: word) else { throw fields.refused("dtype", "is \(Json.quoted(word))") }
        dtype = type
    }

    /// Elements in it.
    public var count: Int { shape.reduce(1, *) }
}

/// A function of the model, states left out.
public struct Signature: Equatable, Sendable {
    public let section: String
    public let name: String
    public let inputs: [TensorType]
    public let outputs: [TensorType]

    init(_ fields: Fields) throws {
        try fields.only("section", "name", "inputs", "outputs")
        section = try fields.text("section")
        name = try fields.text("name")
        inputs = try fields.children("inputs").map(TensorType.init)
        outputs = try fields.children("outputs").map(TensorType.init)
    }
}
