/// What a mask holds.
public struct Mask: Equatable, Sendable {
    /// Where a token may look.
    public let visible: Float
    /// Elsewhere; finite.
    public let hidden: Float

    public init(_ fields: Fields) throws {
        try fields.only("visible", "hidden", "rule")
        _ = try fields.word("rule", "causal")
        visible = Float(try fields.number("visible"))
        hidden = Float(try fields.number("hidden"))
        guard visible.isFinite, hidden.isFinite else { throw fields.refused("hidden", "is \(hidden)") }
    }

    /// Writes the row of a token at a position: it may look at c where position - window < c <= position.
    ///
    /// - Parameter window: nil for a layer that looks at everything before.
    public func write(position: Int, window: Int?, into row: UnsafeMutableBufferPointer<Float>) {
        let first = window.map { max(0, position - $0 + 1) } ?? 0
        row.update(repeating: hidden)
        let end = min(position + 1, row.count)
        if first < end { row[first..<end].update(repeating: visible) }
    }

    /// The same where the columns stand for given positions, below 0 for none.
    public func write(position: Int, window: Int?, columns: [Int], into row: UnsafeMutableBufferPointer<Float>) {
        let first = window.map { max(0, position - $0 + 1) } ?? 0
        for (i, column) in columns.enumerated() where i < row.count {
            row[i] = column >= first && column <= position ? visible : hidden
        }
    }
}

extension Slice where Base == UnsafeMutableBufferPointer<Float> {
    fileprivate mutating func update(repeating value: Float) {
        for i in indices { self[i] = value }
    }
}
