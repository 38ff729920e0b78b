/// A conversation's KV cache and what is in it: prefills in chunks, decodes, and goes on from the longest common beginning
/// of what it holds and what is asked for.
///
/// One user at a time: the session's answer.
package actor Cache {
    private let program: any Program
    private let feeder: Feeder
    private let states: any ProgramStates
    /// What is in the cache, from position 0 on. Rows behind it may hold anything: a mask shows none of them before it
    /// is written over.
    private(set) var filled: [Slot] = []
    /// Positions that were ever written since position 0 was: in a ring, each has taken an older one's place.
    private var reached = 0

    package init(_ program: any Program, _ feeder: Feeder) async throws {
        self.program = program
        self.feeder = feeder
        states = try await program.makeStates()
    }

    var context: Int { feeder.calls.chunks.context }

    /// Makes the cache hold `ids` but the last one, and feeds that.
    ///
    /// - Returns: logits of the next token, `[vocabulary]`.
    /// - Throws: `EngineError.contextFull`: more tokens than positions. `CancellationError` between two calls.
    package func read(_ ids: [Int32]) async throws -> [Float] {
        try await read(ids.map(Slot.token))
    }

    /// The same of a prompt with pictures; a token is the last of it.
    package func read(_ slots: [Slot]) async throws -> [Float] {
        guard case .token(let last)? = slots.last else { throw EngineError.failed("there is no token to read at the end") }
        guard slots.count <= context else {
            throw EngineError.contextFull("\(slots.count) tokens do not fit a context of \(context)")
        }
        let common = zip(filled, slots).prefix { $0 == $1 }.count
        filled.removeSubrange(goingOn(at: min(common, slots.count - 1))...)
        for call in feeder.calls.chunks.calls(filled: filled.count, count: slots.count) {
            try Task.checkCancellation()
            let some = Array(slots[call.first..<call.end])
            filled.removeSubrange(min(call.first, filled.count)...)  // in the middle of a call nothing of it is sure
            reached = max(reached, call.end)
            _ = try await self.call(call.function, first: call.first, some)
            filled = Array(slots[..<call.end])
        }
        return try await step(last)
    }

    /// Feeds one more token.
    ///
    /// - Returns: logits of the next one, `[vocabulary]`.
    /// - Throws: `EngineError.contextFull`: all positions are taken.
    func step(_ token: Int32) async throws -> [Float] {
        guard filled.count < context else { throw EngineError.contextFull("all \(context) positions are taken") }
        reached = max(reached, filled.count + 1)
        let out = try await call(Chunks.decode, first: filled.count, [.token(token)])
        filled.append(.token(token))
        guard let logits = out[feeder.calls.logits] else {
            throw EngineError.failed("\(Chunks.decode) gave no \(feeder.calls.logits)")
        }
        return try logits.floats
    }

    /// Where a conversation goes on that shares so many tokens with what the cache holds: there, or from the beginning where
    /// a ring has lost rows that the next token looks back to.
    private func goingOn(at position: Int) -> Int {
        let lost = feeder.calls.layerTypes.values.contains { type in
            guard let ring = type.ring, let window = type.window else { return false }
            return !ring.holds(before: position, reached: reached, window: window)
        }
        if lost || position == 0 { reached = 0 }
        return lost ? 0 : position
    }

    /// Runs a function in every part that has it, in order.
    private func call(_ function: String, first: Int, _ slots: [Slot]) async throws -> [String: Tensor] {
        var known: [String: Tensor] = [:]
        for (index, part) in feeder.calls.parts.enumerated() {
            guard let linked = part.functions[function] else { continue }
            let earlier = known.filter { linked.takes.contains($0.key) }
            let inputs = try feeder.inputs(part: index, function: function, first: first, slots, earlier: earlier)
            known.merge(try await program.run(part: index, function: function, inputs: inputs, states: states)) { $1 }
        }
        return known
    }
}
