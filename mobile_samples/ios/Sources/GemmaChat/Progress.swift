import Foundation

/// A step of something that takes long, for the user interface.
struct Step: Equatable, Sendable {
    let work: Work
    let done: Int64
    let total: Int64
}

/// Lets steps of a percent through, and the last one: every byte would keep the user interface busy.
final class Percents: @unchecked Sendable {
    private let lock = NSLock()  // guards `last`
    private var last: (work: Work, percent: Int64)?
    private let feed: @Sendable (Step) -> Void

    init(_ feed: @escaping @Sendable (Step) -> Void) {
        self.feed = feed
    }

    func tell(_ step: Step) {
        let now = step.total > 0 ? Int64(Double(step.done) / Double(step.total) * 100) : 0
        let new = lock.withLock {
            if let last, last == (step.work, now), step.done != step.total { return false }
            last = (step.work, now)
            return true
        }
        if new { feed(step) }
    }
}

/// Does something away from the main actor; what it tells of its progress is shown in order, and all of it before this
/// returns.
@MainActor
func watched<Value: Sendable>(
    show: @escaping @MainActor (Step) -> Void,
    _ body: @Sendable (_ tell: @escaping @Sendable (Step) -> Void) async throws -> Value
) async throws -> Value {
    let (steps, feed) = AsyncStream.makeStream(of: Step.self)
    let showing = Task { for await step in steps { show(step) } }
    let percents = Percents { feed.yield($0) }
    do {
        let value = try await body { percents.tell($0) }
        feed.finish()
        await showing.value
        return value
    } catch {
        feed.finish()
        await showing.value
        throw error
    }
}
