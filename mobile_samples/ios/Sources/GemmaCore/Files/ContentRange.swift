/// What the header `Content-Range` says of a part: `bytes <first>-<last>/<whole>` (RFC 9110, 14.4).
struct ContentRange: Equatable, Sendable {
    let first: Int64
    let last: Int64
    /// Bytes of the whole file; nil where the server does not say (`*`).
    let whole: Int64?

    init?(_ header: String) {
        let unit = "bytes "
        guard header.hasPrefix(unit) else { return nil }
        let halves = header.dropFirst(unit.count).split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        let ends = halves[0].split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let first = ContentRange.number(ends[0]), let last = ContentRange.number(ends[1])
        else { return nil }
        self.first = first
        self.last = last
        if halves[1] == "*" {
            whole = nil
        } else {
            guard let number = ContentRange.number(halves[1]) else { return nil }
            whole = number
        }
    }

    /// Digits alone: `Int64` would take a sign too.
    private static func number(_ text: Substring) -> Int64? {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int64(text) : nil
    }
}
