/// What a model runs on.
public enum Backend: String, Sendable, CaseIterable {
    /// CPU and Neural Engine, CPU and GPU, CPU alone.
    case neuralEngine = "ane", gpu, cpu
}

/// How tokens are drawn.
public struct Sampling: Equatable, Sendable {
    /// Draw among so many of the best.
    public let topK: Int
    /// And among the best that together have this probability.
    public let topP: Double
    /// Divides the logits first.
    public let temperature: Double
    public let seed: UInt64

    public init(topK: Int, topP: Double, temperature: Double, seed: UInt64) {
        self.topK = topK
        self.topP = topP
        self.temperature = temperature
        self.seed = seed
    }

    /// The best token every time.
    public static let greedy = Sampling(topK: 1, topP: 1, temperature: 1, seed: 0)
}

/// How a conversation begins.
public struct SessionSettings: Sendable {
    /// What was said before, a system turn first if there is one; it must not end with the user's turn.
    public var history: [Turn]
    /// Nil for the model's own.
    public var sampling: Sampling?
    /// Of one answer; 0 for no limit but the context.
    public var maxTokens: Int
    /// Whether the model may think before it answers.
    public var thinking: Bool

    public init(history: [Turn] = [], sampling: Sampling? = nil, maxTokens: Int = 0, thinking: Bool = false) {
        self.history = history
        self.sampling = sampling
        self.maxTokens = maxTokens
        self.thinking = thinking
    }
}

/// Why an answer ended.
public enum Ending: String, Sendable {
    /// The model said that it was done.
    case done
    /// `SessionSettings.maxTokens` was reached.
    case limit
    /// The context is full: the answer may be cut, and the session takes nothing more.
    case context
    /// The task was cancelled, or the session closed.
    case cancelled
}

/// How fast an answer came.
public struct Speed: Equatable, Sendable {
    /// In the answer.
    public let tokens: Int
    /// While decoding.
    public let tokensPerSecond: Double
    /// From the message to the first token.
    public let firstTokenSeconds: Double

    public init(tokens: Int, tokensPerSecond: Double, firstTokenSeconds: Double) {
        self.tokens = tokens
        self.tokensPerSecond = tokensPerSecond
        self.firstTokenSeconds = firstTokenSeconds
    }
}

/// An answer: all its pieces together, why it ended, and its speed where the engine measured one.
public struct Answer: Equatable, Sendable {
    public let text: String
    public let ending: Ending
    public let speed: Speed?

    public init(text: String, ending: Ending, speed: Speed?) {
        self.text = text
        self.ending = ending
        self.speed = speed
    }
}

/// What comes while an answer is made: pieces of its text, and at last the whole of it.
public enum Event: Equatable, Sendable {
    case piece(String)
    case ended(Answer)
}

/// An engine failed; the message is its own where it has one.
public enum EngineError: Error, Equatable {
    case failed(String)
    /// What was sent does not fit into what is left of the context; nothing was said.
    case contextFull(String)
    case closed

    public var message: String {
        switch self {
        case .failed(let why): return why
        case .contextFull(let why): return why
        case .closed: return "the engine is closed"
        }
    }
}

/// An answer as it comes. Whoever leaves the loop, or cancels the task that iterates, ends the answer without a last
/// event; after `Session.stop` that is `.ended` with `Ending.cancelled`.
public typealias Events = AsyncThrowingStream<Event, any Error>

/// A conversation inside an engine: it remembers what was said. One message at a time.
public protocol Session: Sendable {
    /// False after a failure, after `stop` where the engine cannot go on, and after `close`: begin another one then.
    var usable: Bool { get async }

    /// Sends the user's message; the answer comes as the stream is read. The stream throws `EngineError`.
    func send(_ message: String) async -> Events

    /// Sends a message with pictures, which are paths of files that stay as long as the session; the model sees them
    /// before the words.
    func send(_ message: String, pictures: [String]) async -> Events

    /// Ends the answer that is coming, soon; does nothing when none is.
    func stop() async

    /// Ends the answer that is coming and frees the memory; returns when the engine has let go. A second call does
    /// nothing.
    func close() async
}

extension Session {
    /// Of an engine that takes no pictures.
    public func send(_ message: String, pictures: [String]) async -> Events {
        if pictures.isEmpty { return await send(message) }
        let (events, output) = Events.makeStream()
        output.finish(throwing: EngineError.failed("this engine takes no pictures"))
        return events
    }
}

/// A loaded model.
public protocol Engine: Sendable {
    var backend: Backend { get }

    /// - Throws: `EngineError`.
    func start(_ settings: SessionSettings) async throws -> any Session

    /// Whether its sessions take pictures.
    var takesPictures: Bool { get }

    /// What the self-test needs of it.
    var replay: Replay { get }

    /// Closes its sessions, then itself. A second call does nothing.
    func close() async
}

extension Engine {
    public var takesPictures: Bool { false }
}

/// How the goldens of a bundle are replayed in an engine.
public enum Replay: Sendable {
    /// The engine gives logits: `GOLDEN.md`'s sharp test.
    case logits(any LogitsReplay)
    /// It gives text only.
    case text(any TextReplay)
}

/// A run of forced tokens with an empty cache.
public protocol LogitsReplay: Sendable {
    /// Prefills `ids` without its last token, feeds that and then every token of `continuation` but its last by decode
    /// calls, and hands over the logits `[vocabulary]` that came before each token of `continuation`.
    ///
    /// - Throws: `EngineError`, or what `look` throws.
    func replay(
        ids: [Int32], continuation: [Int32], look: @Sendable (_ step: Int, _ logits: [Float]) throws -> Void
    ) async throws
}

/// What an engine that gives text tells.
public protocol TextReplay: Sendable {
    /// Continues a text without any template, greedily. Nil where the engine cannot do this.
    func complete(_ prompt: String, maxTokens: Int) async throws -> String?

    /// Text of token ids; nil where the engine does not tell.
    func detokenize(_ tokens: [Int32]) async throws -> String?
}

/// Loads models; an app has one of these for each engine that it brings.
public protocol EngineFactory: Sendable {
    /// Backends worth trying, best first.
    var backends: [Backend] { get }

    /// - Throws: `EngineError`: the model cannot be loaded there. `Refused`: a file of the bundle is not what it must be.
    func open(_ backend: Backend) async throws -> any Engine
}
