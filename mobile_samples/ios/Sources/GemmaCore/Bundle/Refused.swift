/// A file that is not what it must be: the message says what was found and what is allowed.
public struct Refused: Error, Equatable, CustomStringConvertible {
    public let message: String

    public init(_ message: String) {
        self.message = message
    }

    public var description: String { message }
}
