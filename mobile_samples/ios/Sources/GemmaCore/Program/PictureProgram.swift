/// What runs the functions of the package that reads pictures: Core ML, or in tests an evaluator.
public protocol PictureProgram: Sendable {
    /// One call of a function; loads it first where it is not there.
    ///
    /// - Parameter model: folder in the bundle.
    /// - Returns: the outputs by name.
    /// - Throws: `EngineError`.
    func see(model: String, function: String, inputs: [Tensor]) async throws -> [String: Tensor]

    /// Frees what it holds; the next call loads it again.
    func rest() async
}

/// What an engine that cuts pictures itself needs of the device.
public struct Sight: Sendable {
    /// Opens a picture's file; its pixels are decoded when they are asked for.
    ///
    /// - Throws: `PictureTrouble`.
    public typealias Open = @Sendable (_ file: String) throws -> any PixelRows

    let program: any PictureProgram
    let open: Open
    let available: @Sendable () -> Int64

    /// - Parameter available: bytes of memory that this app may still take.
    public init(_ program: any PictureProgram, open: @escaping Open, available: @escaping @Sendable () -> Int64) {
        self.program = program
        self.open = open
        self.available = available
    }
}
