/// One step by which a tokenizer changes text before it is encoded, or pieces when they are decoded.
enum Rewriting: Equatable, Sendable {
    /// Every occurrence of a text, from the left.
    case replace([UInt8], by: [UInt8])
    /// Before every stretch that is not empty.
    case prepend([UInt8])

    func applied(to text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        switch self {
        case .prepend(let more): return text.isEmpty ? text : (more + text)[...]
        case .replace(let pattern, let new):
            var out: [UInt8] = []
            var begin = text.startIndex
            while let found = text[begin...].firstRange(ofBytes: pattern) {
                out.append(contentsOf: text[begin..<found.lowerBound])
                out.append(contentsOf: new)
                begin = found.upperBound
            }
            if begin == text.startIndex { return text }
            out.append(contentsOf: text[begin...])
            return out[...]
        }
    }
}

/// How a tokenizer cuts a text into stretches that are encoded one by one.
struct Splitting: Equatable, Sendable {
    /// What becomes of the text at which it is cut.
    enum Behavior: String, Sendable {
        case removed = "Removed"
        case isolated = "Isolated"
        case mergedWithPrevious = "MergedWithPrevious"
        case mergedWithNext = "MergedWithNext"
        case contiguous = "Contiguous"
    }

    let pattern: [UInt8]
    let behavior: Behavior
    /// The text between the occurrences is what it is cut at.
    let invert: Bool

    func applied(to text: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        let parts = matches(text)
        var out: [Range<Int>] = []
        var before = false  // whether the part before was a match
        func take(_ part: (range: Range<Int>, match: Bool), joined: Bool) {
            if joined, let last = out.popLast() {
                out.append(min(last.lowerBound, part.range.lowerBound)..<max(last.upperBound, part.range.upperBound))
            } else {
                out.append(part.range)
            }
            before = part.match
        }
        switch behavior {
        case .isolated: out = parts.map(\.range)
        case .removed: out = parts.filter { !$0.match }.map(\.range)
        case .contiguous: for part in parts { take(part, joined: part.match == before) }
        case .mergedWithPrevious: for part in parts { take(part, joined: part.match && !before) }
        case .mergedWithNext:
            for part in parts.reversed() { take(part, joined: part.match && !before) }
            out.reverse()
        }
        return out.filter { !$0.isEmpty }.map { text[$0] }
    }

    private func matches(_ text: ArraySlice<UInt8>) -> [(range: Range<Int>, match: Bool)] {
        var out: [(range: Range<Int>, match: Bool)] = []
        var begin = text.startIndex
        while let found = text[begin...].firstRange(ofBytes: pattern) {
            if begin < found.lowerBound { out.append((begin..<found.lowerBound, invert)) }
            out.append((found, !invert))
            begin = found.upperBound
        }
        if begin < text.endIndex { out.append((begin..<text.endIndex, invert)) }
        return out
    }
}

extension ArraySlice<UInt8> {
    /// Where a text first occurs in UTF-8; nil where it does not, or is empty.
    func firstRange(ofBytes pattern: [UInt8]) -> Range<Int>? {
        guard let first = pattern.first, count >= pattern.count else { return nil }
        return withUnsafeBufferPointer { here in
            pattern.withUnsafeBufferPointer { wanted in
                var at = 0
                let last = here.count - wanted.count
                while at <= last {
                    if here[at] == first, (1..<wanted.count).allSatisfy({ here[at + $0] == wanted[$0] }) {
                        return (startIndex + at)..<(startIndex + at + wanted.count)
                    }
                    at += 1
                }
                return nil
            }
        }
    }
}
