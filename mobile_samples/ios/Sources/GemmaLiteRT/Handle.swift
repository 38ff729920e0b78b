import Foundation
import GemmaCore

/// An object of the C library, which is freed when nobody uses it.
///
/// An object that lives inside of another is a user of that one for all its life: so an engine outlives its
/// conversations. Using one after it was freed would be the end of the process.
///
/// `@unchecked Sendable`: `users` and `state` are touched under the lock alone; the pointer is only handed out between
/// `enter` and `leave`, and LiteRT-LM's objects may be used by several threads at once; `delete` is called once, when
/// there are no users.
final class Handle: @unchecked Sendable {
    private enum State { case open, closing, freed }

    private let pointer: OpaquePointer
    private let owner: Handle?
    private let delete: (OpaquePointer) -> Void
    private let condition = NSCondition()
    private var users = 0
    private var state = State.open

    /// - Parameters:
    ///   - owner: whose user this is; `enter` was called for it.
    ///   - delete: frees the object, once; what it holds is kept as long as this.
    init(_ pointer: OpaquePointer, owner: Handle? = nil, delete: @escaping (OpaquePointer) -> Void) {
        self.pointer = pointer
        self.owner = owner
        self.delete = delete
    }

    /// Whoever dropped it without `free`: nobody uses it then, since its users hold it.
    deinit { free() }

    /// - Throws: `EngineError.closed`, or what `body` throws.
    func use<Result>(_ body: (OpaquePointer) throws -> Result) throws -> Result {
        let pointer = try enter()
        defer { leave() }
        return try body(pointer)
    }

    /// Begins a use; `leave` ends it.
    ///
    /// - Throws: `EngineError.closed`.
    func enter() throws -> OpaquePointer {
        try condition.withLock {
            guard state == .open else { throw EngineError.closed }
            users += 1
            return pointer
        }
    }

    func leave() {
        condition.withLock {
            users -= 1
            if users == 0 { condition.broadcast() }
        }
    }

    /// Lets nobody begin a use any more.
    func refuse() {
        condition.withLock { if state == .open { state = .closing } }
    }

    /// Waits for the last user to leave, and frees the object. A second call waits, too, and does nothing.
    func free() {
        refuse()
        let last = condition.withLock {
            while users > 0 { condition.wait() }
            defer { state = .freed }
            return state != .freed
        }
        guard last else { return }
        delete(pointer)
        owner?.leave()
    }
}
