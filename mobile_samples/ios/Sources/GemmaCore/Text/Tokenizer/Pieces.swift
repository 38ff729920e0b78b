/// The pieces of a vocabulary by id, and ids by the pieces' UTF-8.
///
/// Swift's own comparison of strings is by canonical equivalence: it calls one letter with an accent and a letter
/// with a combining accent the same. They are two pieces here, so bytes are compared. All pieces lie in one array.
struct Pieces: Sendable {
    /// One more than the largest id that is allowed: published vocabularies have 262,144 entries.
    static let most = 1 << 22

    private var bytes: [UInt8] = []
    /// Where a piece begins in `bytes`, and its length, by id; a length of -1 where no piece has the id.
    private var begins: [Int32] = []
    private var lengths: [Int32] = []
    /// Open addressing: ids, -1 where a slot is free.
    private var slots = [Int32](repeating: -1, count: 1024)
    private(set) var count = 0

    /// One more than the largest id.
    var end: Int { begins.count }

    /// Adds a piece; false where the piece or the id is there already.
    ///
    /// - Precondition: `0 <= id < Pieces.most`.
    mutating func add(_ piece: some Collection<UInt8>, _ id: Int) -> Bool {
        let begin = bytes.count
        bytes.append(contentsOf: piece)
        let length = bytes.count - begin
        if id >= begins.count {
            begins.append(contentsOf: repeatElement(0, count: id + 1 - begins.count))
            lengths.append(contentsOf: repeatElement(-1, count: id + 1 - lengths.count))
        }
        if 2 * (count + 1) > slots.count { grow() }
        let slot = bytes.withUnsafeBytes { place(UnsafeRawBufferPointer(rebasing: $0[begin...])) }
        guard slots[slot] < 0, lengths[id] < 0, bytes.count <= Int(Int32.max) else {
            bytes.removeLast(length)
            return false
        }
        slots[slot] = Int32(id)
        begins[id] = Int32(begin)
        lengths[id] = Int32(length)
        count += 1
        return true
    }

    /// The id of a piece.
    func id(_ piece: UnsafeRawBufferPointer) -> Int32? {
        let found = slots[place(piece)]
        return found < 0 ? nil : found
    }

    func id(_ piece: [UInt8]) -> Int32? {
        piece.withUnsafeBytes { id($0) }
    }

    /// The bytes of a piece; nil where no piece has the id.
    func piece(_ id: Int32) -> ArraySlice<UInt8>? {
        guard id >= 0, id < lengths.count, lengths[Int(id)] >= 0 else { return nil }
        let begin = Int(begins[Int(id)])
        return bytes[begin..<(begin + Int(lengths[Int(id)]))]
    }

    /// The slot of a piece, or the free one where it belongs.
    private func place(_ piece: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: piece)
        var slot = hasher.finalize() & (slots.count - 1)
        while slots[slot] >= 0, !equals(Int(slots[slot]), piece) { slot = (slot + 1) & (slots.count - 1) }
        return slot
    }

    private func equals(_ id: Int, _ piece: UnsafeRawBufferPointer) -> Bool {
        guard Int(lengths[id]) == piece.count else { return false }
        let begin = Int(begins[id])
        return bytes.withUnsafeBytes { all in
            UnsafeRawBufferPointer(rebasing: all[begin..<(begin + piece.count)]).elementsEqual(piece)
        }
    }

    private mutating func grow() {
        let old = slots
        slots = [Int32](repeating: -1, count: 2 * old.count)
        for id in old where id >= 0 {
            let begin = Int(begins[Int(id)])
            let length = Int(lengths[Int(id)])
            let slot = bytes.withUnsafeBytes { place(UnsafeRawBufferPointer(rebasing: $0[begin..<(begin + length)])) }
            slots[slot] = id
        }
    }
}
