/// A chat that outlives stopped answers and failures of the engine: what was said is kept here, and a new `Session` is
/// given it when the old one is used up.
///
/// One `say` at a time; everything else at any time.
public actor Conversation {
    private let engine: any Engine
    private let system: String?
    private let settings: SessionSettings

    /// What was said so far, without the system turn; a stopped answer as far as it came.
    public private(set) var turns: [Turn] = []

    /// Whether the last answer filled the context: nothing more can be said until `restart`.
    public private(set) var full = false

    private var session: (any Session)?
    // Counts what `session` held: an answer that ends after a restart belongs to a conversation that is gone.
    private var number = 0
    private var answering = false
    private var stopped = false
    private var closed = false

    /// - Parameters:
    ///   - system: an instruction that comes first; nil for none.
    ///   - settings: sampling, limit and thinking; its history is not used.
    public init(_ engine: any Engine, system: String? = nil, settings: SessionSettings = SessionSettings()) {
        self.engine = engine
        self.system = system
        self.settings = settings
    }

    /// Sends a message, with the files of `pictures` before it, and returns the answer, which comes in pieces before.
    ///
    /// Whoever cancels the task ends the answer as `stop` does.
    ///
    /// - Throws: `EngineError.contextFull`: the message does not fit; shorten it, or `restart`. Another `EngineError`:
    ///   the engine failed. In either case nothing was said, and the same message can be sent again.
    public func say(
        _ message: String, pictures: [String] = [], piece: @Sendable (String) async -> Void
    ) async throws -> Answer {
        if full { throw EngineError.contextFull("the conversation has filled its context") }
        if answering { throw EngineError.failed("an answer is coming already") }
        answering = true
        stopped = false
        defer { answering = false }
        let current = try await ready()
        let mine = number
        let question = Turn(.user, message, pictures: pictures)
        let answer: Answer
        do {
            answer = try await read(current, question, piece)
        } catch {
            await drop(current, mine)
            throw error
        }
        if mine == number {
            // A question without any answer is forgotten: two of the user's turns in a row are not what a model knows.
            if !answer.text.isEmpty { turns += [question, Turn(.assistant, answer.text)] }
            full = answer.ending == .context
        }
        // A session whose answer was empty, or was left in the middle, may remember other turns than are kept here.
        let same = !answer.text.isEmpty && !full && !Task.isCancelled
        let usable = await current.usable
        if !(same && usable) { await drop(current, mine) }
        return answer
    }

    /// Ends the answer that is coming.
    public func stop() async {
        stopped = true
        await session?.stop()
    }

    /// Forgets everything and begins again.
    public func restart() async {
        turns = []
        full = false
        await drop(session, number)
    }

    /// Ends the answer that is coming and frees the session; the engine stays.
    public func close() async {
        closed = true
        stopped = true
        await drop(session, number)
    }

    private func read(
        _ current: any Session, _ question: Turn, _ piece: @Sendable (String) async -> Void
    ) async throws -> Answer {
        // Whoever stopped before there was a session to stop, stopped all the same.
        if stopped { return Answer(text: "", ending: .cancelled, speed: nil) }
        let events = await current.send(question.text, pictures: question.pictures)
        var text = ""
        if stopped { await current.stop() }
        for try await event in events {
            switch event {
            case .piece(let more):
                text += more
                await piece(more)
            case .ended(let answer):
                return answer
            }
        }
        // The stream of a cancelled task ends without a last word.
        guard Task.isCancelled else { throw EngineError.failed("the answer ended without an end") }
        return Answer(text: text, ending: .cancelled, speed: nil)
    }

    private func ready() async throws -> any Session {
        if closed { throw EngineError.closed }
        if let session { return session }
        let first = system.map { $0.isEmpty ? [] : [Turn(.system, $0)] } ?? []
        var with = settings
        with.history = first + turns
        let mine = number
        let fresh = try await engine.start(with)
        // While it began, the conversation may have been closed, or begun anew.
        guard !closed, mine == number else {
            await fresh.close()
            if closed { throw EngineError.closed }
            return try await ready()
        }
        session = fresh
        return fresh
    }

    private func drop(_ used: (any Session)?, _ mine: Int) async {
        if mine == number {
            session = nil
            number += 1
        }
        await used?.close()
    }
}
