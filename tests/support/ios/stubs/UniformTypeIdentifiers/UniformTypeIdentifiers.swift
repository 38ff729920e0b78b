public struct UTType: Sendable, Hashable {
    public static var folder: UTType { UTType() }
    public static var png: UTType { UTType() }
    public static var jpeg: UTType { UTType() }
    public var identifier: String { "" }
}
