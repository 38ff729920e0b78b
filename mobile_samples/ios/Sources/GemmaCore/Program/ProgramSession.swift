import Foundation

/// A conversation of a `ProgramEngine`. What was said and stopped stays; the cache keeps what both turns begin with.
actor ProgramSession: Session {
    private let engine: ProgramEngine
    private let settings: SessionSettings
    private let cache: Cache
    private let sampling: Sampling
    private var history: [Turn]
    /// By their files.
    private var seen: [String: PictureRows] = [:]
    private var answering: Task<Void, Never>?
    private var closed = false

    init(_ engine: ProgramEngine, _ settings: SessionSettings, _ cache: Cache) {
        self.engine = engine
        self.settings = settings
        self.cache = cache
        history = settings.history
        sampling = settings.sampling ?? engine.manifest.feeding.sampler.map {
            Sampling(topK: $0.topK, topP: $0.topP, temperature: $0.temperature, seed: .random(in: 0 ... .max))
        } ?? .greedy
    }

    var usable: Bool { !closed }

    func send(_ message: String) async -> Events {
        await send(message, pictures: [])
    }

    func send(_ message: String, pictures: [String]) async -> Events {
        let before = answering
        let (events, continuation) = Events.makeStream()
        let task = Task {
            await before?.value  // one answer at a time
            do {
                continuation.yield(.ended(try await self.answer(Turn(.user, message, pictures: pictures)) { continuation.yield(.piece($0)) }))
                continuation.finish()
            } catch let error as EngineError {
                continuation.finish(throwing: error)
            } catch let trouble as PictureTrouble {
                continuation.finish(throwing: EngineError.failed("a picture cannot be read: \(trouble.rawValue)"))
            } catch let error as Refused {
                continuation.finish(throwing: EngineError.failed(error.message))
            } catch {
                continuation.finish(throwing: EngineError.failed("\(error)"))
            }
        }
        answering = task
        continuation.onTermination = { _ in task.cancel() }
        return events
    }

    func stop() async {
        answering?.cancel()
        await answering?.value
    }

    func close() async {
        closed = true
        await stop()
    }

    /// Reads the conversation with the message and draws an answer.
    private func answer(_ question: Turn, piece: (String) -> Void) async throws -> Answer {
        guard !closed else { throw EngineError.closed }
        let clock = ContinuousClock(), begin = clock.now
        let turns = history + [question]
        let slots: [Slot]
        do {
            slots = try await self.slots(turns)
        } catch is CancellationError {
            return Answer(text: "", ending: .cancelled, speed: nil)
        }
        var drawing = Drawing(engine, sampling)
        var ending = Ending.done, first: Duration?
        do {
            var logits = try await cache.read(slots)
            first = clock.now - begin
            while let token = try drawing.next(logits) {
                let text = try drawing.take(token)
                if !text.isEmpty { piece(text) }
                if settings.maxTokens > 0, drawing.tokens >= settings.maxTokens {
                    ending = .limit
                    break
                }
                if await cache.filled.count >= cacheContext {
                    ending = .context
                    break
                }
                try Task.checkCancellation()
                logits = try await cache.step(token)
            }
        } catch is CancellationError {
            ending = .cancelled
        }
        let rest = drawing.finish()
        if !rest.isEmpty { piece(rest) }
        // A question without any answer is forgotten: two of the user's turns in a row are not what a model knows.
        if !drawing.text.isEmpty { history = turns + [Turn(.assistant, drawing.text)] }
        return Answer(text: drawing.text, ending: ending, speed: speed(drawing.tokens, first, clock.now - begin))
    }

    /// What stands at each position of a conversation; pictures that are new are read.
    ///
    /// - Throws: `EngineError.contextFull`, before any picture is decoded.
    private func slots(_ turns: [Turn]) async throws -> [Slot] {
        let harmless = turns.map { Turn($0.role, ControlTokens.harmless($0.text), pictures: $0.pictures) }
        let ids = try engine.ids(harmless, thinking: settings.thinking), files = turns.flatMap(\.pictures)
        guard !files.isEmpty else {
            try fits(ids.count)
            return ids.map(Slot.token)
        }
        guard let reader = engine.pictures else { throw EngineError.failed("this engine takes no pictures") }
        try Slot.check(ids, files.count, reader.cutting)
        // A place becomes a picture's rows and the two tokens around them.
        try fits(ids.count + files.reduce(0) { $0 + (try seen[$1]?.count ?? reader.count($1)) + 1 })
        let fresh = files.filter { seen[$0] == nil }
        for file in fresh where seen[file] == nil {
            try Task.checkCancellation()
            seen[file] = try await reader.read(file)
        }
        if !fresh.isEmpty { await reader.rest() }
        return try Slot.spread(ids, files.compactMap { seen[$0] }, reader.cutting)
    }

    private func fits(_ count: Int) throws {
        guard count < cacheContext else {
            throw EngineError.contextFull("\(count) tokens do not fit a context of \(cacheContext)")
        }
    }

    private var cacheContext: Int { engine.feeder.calls.chunks.context }

    private func speed(_ tokens: Int, _ first: Duration?, _ all: Duration) -> Speed? {
        guard let first else { return nil }
        let seconds = { (duration: Duration) in
            Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
        }
        let decoding = seconds(all) - seconds(first)
        return Speed(
            tokens: tokens, tokensPerSecond: decoding > 0 ? Double(tokens) / decoding : 0,
            firstTokenSeconds: seconds(first))
    }
}

/// Draws the tokens of one answer and makes text of them; thoughts are left out.
private struct Drawing {
    private var sampler: Sampler
    private let stops: Set<Int32>
    private let thought: (begin: Int32, end: Int32)?
    private var thinking = false
    private var decoder: StreamDecoder
    private(set) var tokens = 0
    private(set) var text = ""

    init(_ engine: ProgramEngine, _ sampling: Sampling) {
        let feeding = engine.manifest.feeding
        sampler = Sampler(sampling, suppressed: feeding.suppressed)
        stops = Set(feeding.stops.map(\.id))
        thought = feeding.thought.map { (begin: $0.begin.id, end: $0.end.id) }
        decoder = StreamDecoder(engine.tokenizer)
    }

    /// The next token; nil when the answer is done.
    mutating func next(_ logits: [Float]) throws -> Int32? {
        guard let token = logits.withUnsafeBufferPointer({ sampler.draw($0) }) else {
            throw EngineError.failed("no logit is a number")
        }
        return stops.contains(token) ? nil : token
    }

    /// What the token adds to the text.
    mutating func take(_ token: Int32) throws -> String {
        tokens += 1
        if token == thought?.begin { thinking = true }
        defer { if token == thought?.end { thinking = false } }
        if thinking { return "" }
        let piece = try decoder.push(token)
        text += piece
        return piece
    }

    mutating func finish() -> String {
        let piece = decoder.finish()
        text += piece
        return piece
    }
}
