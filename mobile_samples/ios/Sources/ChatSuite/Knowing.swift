import Foundation
import GemmaCore

/// An engine's factory that knows the goldens, and what it was asked for.
final class Knowing: EngineFactory, @unchecked Sendable {
    struct Asked {
        var opened: [Backend] = []
        var closed: [Backend] = []
        /// Engines that were open at once.
        var most = 0
        /// Histories that sessions began with, those of the self-test left out.
        var histories: [[Turn]] = []
        var limits: [Int] = []
        /// Paths that came with each message.
        var pictures: [[String]] = []
    }

    let backends: [Backend]
    let golden: GoldenFile
    private let lock = NSLock()
    private var asked = Asked()
    private var flags: Set<Flag> = []

    enum Flag: Hashable {
        /// Answers nonsense there.
        case wrong(Backend)
        /// Does not load there.
        case failing(Backend)
        /// Gives logits: those of the goldens, or not even numbers.
        case logits, noNumbers
        /// Every answer breaks.
        case breaking
        /// A session cannot go on after `stop`.
        case usedUp
        /// Loading takes until the task is cancelled.
        case slow
        /// No session begins while this is set.
        case held
        /// Takes pictures.
        case seeing
    }

    /// Called when a backend is opened.
    let look: @Sendable (Backend) -> Void

    init(
        _ golden: GoldenFile, _ backends: [Backend] = [.cpu], _ flags: Set<Flag> = [],
        look: @escaping @Sendable (Backend) -> Void = { _ in }
    ) {
        self.golden = golden
        self.backends = backends
        self.flags = flags
        self.look = look
    }

    var seen: Asked { lock.withLock { asked } }
    func note(_ change: (inout Asked) -> Void) { lock.withLock { change(&asked) } }
    func has(_ flag: Flag) -> Bool { lock.withLock { flags.contains(flag) } }
    func set(_ flag: Flag, _ on: Bool = true) {
        lock.withLock { if on { flags.insert(flag) } else { flags.remove(flag) } }
    }

    func open(_ backend: Backend) async throws -> any Engine {
        note { $0.opened.append(backend) }
        look(backend)
        if has(.slow) { try await Task.sleep(for: .seconds(60)) }
        if has(.failing(backend)) { throw EngineError.failed("no such device") }
        note { $0.most = max($0.most, $0.opened.count - $0.closed.count) }
        return KnowingEngine(factory: self, backend: backend)
    }
}

struct KnowingEngine: Engine, TextReplay, LogitsReplay {
    let factory: Knowing
    let backend: Backend

    func start(_ settings: SessionSettings) async throws -> any Session {
        if settings.sampling != .greedy {
            factory.note {
                $0.histories.append(settings.history)
                $0.limits.append(settings.maxTokens)
            }
        }
        while factory.has(.held) { try await Task.sleep(for: .milliseconds(1)) }
        return Talk(self, settings)
    }

    var takesPictures: Bool { factory.has(.seeing) }

    var replay: Replay { factory.has(.logits) ? .logits(self) : .text(self) }

    func close() async {
        factory.note { $0.closed.append(backend) }
    }

    func complete(_ prompt: String, maxTokens: Int) async throws -> String? { nil }

    func detokenize(_ tokens: [Int32]) async throws -> String? { nil }

    func replay(
        ids: [Int32], continuation: [Int32], look: @Sendable (_ step: Int, _ logits: [Float]) throws -> Void
    ) async throws {
        guard let golden = factory.golden.goldens.first(where: { $0.ids == ids }) else { return }
        for (i, step) in golden.steps.enumerated() {
            var logits = [Float](repeating: -100, count: 1000)
            for (token, logit) in zip(step.tokens, step.logits) { logits[Int(token)] = Float(logit) }
            logits[Int(continuation[i])] = Float(step.logits[0]) + 0.01
            try look(i, factory.has(.noNumbers) ? logits.map { _ in Float.nan } : logits)
        }
    }
}

/// A conversation: what it says is decided by the message.
actor Talk: Session {
    private let engine: KnowingEngine
    private let settings: SessionSettings
    private var waiting: (feed: Events.Continuation, text: String)?
    private(set) var usable = true

    init(_ engine: KnowingEngine, _ settings: SessionSettings) {
        self.engine = engine
        self.settings = settings
    }

    func send(_ message: String, pictures: [String]) async -> Events {
        engine.factory.note { $0.pictures.append(pictures) }
        return await send(message)
    }

    func send(_ message: String) async -> Events {
        let (events, feed) = Events.makeStream()
        let right = engine.factory.golden.goldens.first { $0.turns.last?.text == message }?.text
        if engine.factory.has(.breaking) {
            usable = false
            feed.finish(throwing: EngineError.failed("the engine broke"))
            return events
        }
        switch message {
        case "wait":
            feed.yield(.piece("so "))
            feed.yield(.piece("far"))
            waiting = (feed, "so far")
        case "silent":
            waiting = (feed, "")
        case "too long":
            feed.finish(throwing: EngineError.contextFull("309 >= 128"))
        case "much":
            say("so much", .limit, feed)
        case "everything":
            say("so much", .context, feed)
        default:
            say(engine.factory.has(.wrong(engine.backend)) ? "nonsense" : right ?? "I do not know", .done, feed)
        }
        return events
    }

    func stop() async {
        guard let (feed, text) = waiting else { return }
        waiting = nil
        if engine.factory.has(.usedUp) { usable = false }
        feed.yield(.ended(Answer(text: text, ending: .cancelled, speed: nil)))
        feed.finish()
    }

    func close() async {
        await stop()
        usable = false
    }

    private func say(_ text: String, _ ending: Ending, _ feed: Events.Continuation) {
        for piece in text { feed.yield(.piece(String(piece))) }
        let speed = Speed(tokens: text.count, tokensPerSecond: 10, firstTokenSeconds: 0.1)
        feed.yield(.ended(Answer(text: text, ending: ending, speed: speed)))
        feed.finish()
    }
}
