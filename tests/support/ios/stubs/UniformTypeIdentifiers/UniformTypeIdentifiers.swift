public struct UTType: Sendable, Hashable {
    public static var folder: UTType { UTType() }
}
