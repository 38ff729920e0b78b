import GemmaCore

/// A conversation in LiteRT-LM.
///
/// The engine streams from threads of its own, and its memory must not be freed while they run: `close` during an
/// answer cancels it and waits for the last chunk. After a cancelled answer LiteRT-LM 0.18.1 answers nothing any more,
/// and after one that was cut it goes on without closing the model's turn: in both cases `usable` is false. Begin
/// another session with the same history then.
public actor LiteRTSession: Session {
    private let talk: Talk
    private let limit: Int
    private let context: Int
    private var answering: Task<Void, Never>?
    private var answers = 0
    private var cancelled = false
    private var closing = false
    /// Why nothing more can be sent.
    private var end: EngineError?

    /// - Parameters:
    ///   - limit: tokens of an answer, 0 for none.
    ///   - context: positions, 0 where nobody knows.
    init(_ talk: Talk, limit: Int, context: Int) {
        self.talk = talk
        self.limit = limit
        self.context = context
    }

    public var usable: Bool { refusal == nil }

    private var refusal: EngineError? { closing ? .closed : end }

    public func send(_ message: String) -> Events { send(message, pictures: []) }

    public func send(_ message: String, pictures: [String]) -> Events {
        let (events, output) = Events.makeStream()
        if let refusal {
            output.finish(throwing: refusal)
        } else if answering != nil {
            output.finish(throwing: EngineError.failed("the session is answering already"))
        } else {
            answers += 1
            let mine = answers
            output.onTermination = { why in
                // The reader has gone; the answer that it read may be over, and the next have begun.
                if case .cancelled = why { Task { await self.cancel(answer: mine) } }
            }
            answering = Task { await self.answer(Turn(.user, message, pictures: pictures), output) }
        }
        return events
    }

    public func stop() {
        cancel(answer: answers)
    }

    public func close() async {
        closing = true
        cancel(answer: answers)
        await answering?.value
        await aside { [talk] in talk.free() }
    }

    /// Ends an answer, counted from 1, if it is the one that is coming.
    package func cancel(answer: Int) {
        guard answering != nil, answer == answers else { return }
        cancelled = true
        end = LiteRTSession.usedUp
        talk.cancel()
    }

    private func answer(_ turn: Turn, _ output: Events.Continuation) async {
        do {
            let answer = try await gather(turn, output)
            if answer.ending == .limit { end = LiteRTSession.usedUp }
            if answer.ending == .context { end = full }
            answering = nil  // before the reader is told, who may send the next message at once
            output.yield(.ended(answer))
            output.finish()
        } catch {
            end = LiteRTSession.usedUp
            answering = nil
            output.finish(throwing: LiteRTSession.noRoom(error))
        }
    }

    /// Takes chunks until the last one, whatever happens: until then the engine uses the memory.
    private func gather(_ turn: Turn, _ output: Events.Continuation) async throws -> Answer {
        let chunks = try await aside { [talk] in try talk.send(turn) }
        if cancelled { talk.cancel() }  // one that came before the engine had begun is lost on it
        var text = "", pieces = 0
        var problem: EngineError?
        for await chunk in chunks {
            if chunk.failed {
                if !ended(chunk.text) { problem = .failed("the engine failed: \(chunk.text)") }
            } else {
                if !chunk.last || !chunk.text.isEmpty { pieces += 1 }
                let piece = Messages.text(chunk.text)
                text += piece
                if !piece.isEmpty { output.yield(.piece(piece)) }
            }
            if cancelled && !chunk.last { talk.cancel() }  // the engine may have begun after all
        }
        if let problem { throw problem }
        let (speed, taken) = try await aside { [talk] in (talk.speed(), talk.taken()) }
        if cancelled { return Answer(text: text, ending: .cancelled, speed: speed) }
        let filled = context > 0 && (taken ?? 0) >= context
        // A full conversation is answered with nothing, and without an error.
        if filled && text.isEmpty { throw full }
        let cut = limit > 0 && (speed?.tokens ?? pieces) >= limit
        return Answer(text: text, ending: filled ? .context : cut ? .limit : .done, speed: speed)
    }

    /// Errors that are no failures: a cancelled answer ends with one, and so does one that reached its limit.
    private func ended(_ error: String) -> Bool {
        error.contains("Max number of tokens reached") || cancelled && error.contains("CANCELLED")
    }

    private var full: EngineError { .contextFull("all \(context) positions are taken") }

    private static let usedUp = EngineError.failed("the session is used up: begin another one")

    /// How LiteRT-LM says it: of a prompt that is longer than all of the context, and of one longer than its rest.
    private static func noRoom(_ error: any Error) -> any Error {
        let words = ["Exceeding the maximum number of tokens", "exceeds available state entries"]
        guard case EngineError.failed(let why) = error, words.contains(where: why.contains) else { return error }
        return EngineError.contextFull(why)
    }

    /// The prompt from a user's message on up to where its answer would begin, by the model's own template.
    package func render(_ message: String) async throws -> String {
        if let refusal { throw refusal }
        return try await aside { [talk] in try talk.render(Turn(.user, message)) }
    }

    /// Positions of the context that are taken; nil where the engine does not tell.
    package func taken() async throws -> Int? {
        try await aside { [talk] in talk.taken() }
    }
}
