/// What runs the functions of a bundle's packages: Core ML, or in tests an evaluator.
public protocol Program: Sendable {
    /// An empty cache: the states of all parts, zeros.
    ///
    /// - Throws: `EngineError`.
    func makeStates() async throws -> any ProgramStates

    /// One call of a function of a part; the states are changed as the function writes them.
    ///
    /// - Parameters:
    ///   - part: index into the manifest's `parts`.
    ///   - states: from `makeStates`.
    /// - Returns: the outputs by name.
    /// - Throws: `EngineError`.
    func run(
        part: Int, function: String, inputs: [Tensor], states: any ProgramStates
    ) async throws -> [String: Tensor]

    /// Frees what it holds.
    func close() async
}

/// The states of one conversation; only the program that made them knows what they are.
public protocol ProgramStates: Sendable {}
