/// The merges of a byte pair encoding: two tokens that become one, the earlier in the file the sooner.
struct Merges: Sendable {
    /// Rank by pair: the left id in the upper 32 bits.
    private var ranks: [UInt64: Int32] = [:]
    /// The id that a merge makes, by rank.
    private var made: [Int32] = []

    var count: Int { made.count }

    init(reserving count: Int) {
        ranks.reserveCapacity(count)
        made.reserveCapacity(count)
    }

    /// The next merge; where the pair has one already, the later counts, as in the `tokenizers` library.
    mutating func add(_ left: Int32, _ right: Int32, makes id: Int32) {
        ranks[pair(left, right)] = Int32(made.count)
        made.append(id)
    }

    /// Merges tokens until no pair of neighbours has a merge: always the pair of lowest rank, of several the leftmost.
    ///
    /// The time is n log n in the number of tokens: candidates wait in a heap, and neighbours are a linked list.
    ///
    /// - Parameter barred: by id, whether a merge into it is left out.
    func apply(to tokens: [Int32], barred: [Bool]?) -> [Int32] {
        guard tokens.count > 1 else { return tokens }
        var ids = tokens
        // -1 in `next` at the end, and in `ids` where a token was merged into the one before it.
        var next = (0..<ids.count).map { Int32($0 + 1 < ids.count ? $0 + 1 : -1) }
        var previous = (0..<ids.count).map { Int32($0 - 1) }
        var waiting = MinHeap()
        func candidate(_ left: Int, _ right: Int) -> UInt64? {
            guard let rank = ranks[pair(ids[left], ids[right])] else { return nil }
            if let barred, barred[Int(made[Int(rank)])] { return nil }
            return UInt64(UInt32(rank)) << 32 | UInt64(UInt32(left))
        }
        waiting.fill((0..<(ids.count - 1)).compactMap { candidate($0, $0 + 1) })
        while let top = waiting.pop() {
            let left = Int(top & 0xFFFF_FFFF)
            let rank = Int(top >> 32)
            guard ids[left] >= 0, next[left] >= 0 else { continue }
            let right = Int(next[left])
            // What waited is out of date where another pair stands there by now.
            guard let now = ranks[pair(ids[left], ids[right])], Int(now) == rank else { continue }
            ids[left] = made[rank]
            ids[right] = -1
            next[left] = next[right]
            if next[left] >= 0 {
                previous[Int(next[left])] = Int32(left)
                if let found = candidate(left, Int(next[left])) { waiting.push(found) }
            }
            if previous[left] >= 0, let found = candidate(Int(previous[left]), left) { waiting.push(found) }
        }
        return ids.filter { $0 >= 0 }
    }

    private func pair(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }
}

/// A binary heap: the smallest comes first.
struct MinHeap {
    private var items: [UInt64] = []

    mutating func fill(_ all: [UInt64]) {
        items = all
        for i in stride(from: items.count / 2 - 1, through: 0, by: -1) { sink(i) }
    }

    mutating func push(_ item: UInt64) {
        items.append(item)
        var i = items.count - 1
        while i > 0, items[i] < items[(i - 1) / 2] {
            items.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    mutating func pop() -> UInt64? {
        guard let first = items.first, let last = items.popLast() else { return nil }
        if !items.isEmpty {
            items[0] = last
            sink(0)
        }
        return first
    }

    private mutating func sink(_ start: Int) {
        var i = start
        while true {
            var smallest = i
            let child = 2 * i + 1
            if child < items.count, items[child] < items[smallest] { smallest = child }
            if child + 1 < items.count, items[child + 1] < items[smallest] { smallest = child + 1 }
            if smallest == i { return }
            items.swapAt(i, smallest)
            i = smallest
        }
    }
}
