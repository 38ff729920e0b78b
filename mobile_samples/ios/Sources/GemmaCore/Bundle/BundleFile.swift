/// A file of the bundle by content.
public struct BundleFile: Equatable, Sendable {
    public let name: String
    public let bytes: Int64
    /// 64 lower-case hex digits.
    public let sha256: String

    public init(name: String, bytes: Int64, sha256: String) {
        self.name = name
        self.bytes = bytes
        self.sha256 = sha256
    }
}
