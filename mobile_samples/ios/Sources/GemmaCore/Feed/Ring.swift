/// Where keys and values are kept that do not have a row for each position: position p lies in row p modulo `rows`.
///
/// A call looks at the rows as they were before it, and at its own n rows behind these. Then each row becomes one of them.
public struct Ring: Equatable, Sendable {
    public let rows: Int

    init(_ fields: Fields) throws {
        try fields.only("rows", "rule")
        _ = try fields.word("rule", "before_the_call_then_its_own")
        rows = try fields.count("rows")
        guard rows > 0, rows <= 1 << 24 else { throw fields.refused("rows", "is \(rows)") }
    }

    /// Position in each row once positions `0..<count` were written; below 0: none yet.
    public func held(_ count: Int) -> [Int] {
        (0..<rows).map { row in
            let behind = (count - 1 - row) % rows
            return count - 1 - (behind < 0 ? behind + rows : behind)
        }
    }

    /// Positions of a mask's columns in a call of `length` rows, padding included.
    public func columns(first: Int, length: Int) -> [Int] {
        held(first) + (first..<(first + length))
    }

    /// What each row becomes in a call with `count` tokens: a row as it was, or from `rows` on one of the call's own.
    public func becomes(first: Int, count: Int) -> [Int32] {
        held(first + count).enumerated().map { Int32($1 >= first ? rows + $1 - first : $0) }
    }

    /// Whether a conversation of which `reached` positions were written can go on at `position`: the rows that the next
    /// token looks back to were not written over.
    public func holds(before position: Int, reached: Int, window: Int) -> Bool {
        max(0, position - window + 1) >= reached - rows || position == 0
    }
}
