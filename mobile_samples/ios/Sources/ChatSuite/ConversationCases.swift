import Foundation
import GemmaCore

/// A conversation with an engine that knows nothing.
private func conversation(
    _ flags: Set<Knowing.Flag> = [], system: String? = nil
) throws -> (Conversation, Knowing) {
    let double = Knowing(try Made.goldens(), [.cpu], flags)
    return (Conversation(KnowingEngine(factory: double, backend: .cpu), system: system), double)
}

private let quiet: @Sendable (String) async -> Void = { _ in }

/// Pieces as they come.
private actor Pieces {
    private(set) var all: [String] = []
    func add(_ piece: String) { all.append(piece) }
}

@MainActor
func conversationCases(_ suite: Suite) async {
    await suite.run("answers come in pieces and one session serves them all") { _ in
        let (talk, double) = try conversation()
        let pieces = Pieces()
        let answer = try await talk.say("q") { await pieces.add($0) }
        try same(answer.text, "right")
        try same(await pieces.all, ["r", "i", "g", "h", "t"])
        _ = try await talk.say("more", piece: quiet)
        try same(double.seen.histories, [[]])
        try same(
            await talk.turns,
            [.init(.user, "q"), .init(.assistant, "right"), .init(.user, "more"), .init(.assistant, "I do not know")])
    }
    await suite.run("system turn comes first") { _ in
        let (talk, double) = try conversation(system: "Be brief.")
        _ = try await talk.say("q", piece: quiet)
        try same(double.seen.histories, [[Turn(.system, "Be brief.")]])
        try same(await talk.turns.count, 2)
    }
    await suite.run("used up session is followed by one with the same history") { _ in
        let (talk, double) = try conversation([.usedUp])
        _ = try await talk.say("q", piece: quiet)
        let stopped = try await talk.say("wait") { if $0 == "far" { await talk.stop() } }
        try same(stopped.ending, .cancelled)
        let kept = [Turn(.user, "q"), Turn(.assistant, "right"), Turn(.user, "wait"), Turn(.assistant, "so far")]
        try same(await talk.turns, kept)
        _ = try await talk.say("q", piece: quiet)
        try same(double.seen.histories, [[], kept])
    }
    await suite.run("stopped session that can go on goes on") { _ in
        let (talk, double) = try conversation()
        _ = try await talk.say("wait") { if $0 == "far" { await talk.stop() } }
        _ = try await talk.say("q", piece: quiet)
        try same(double.seen.histories, [[]])
        try same(await talk.turns.map(\.text), ["wait", "so far", "q", "right"])
    }
    await suite.run("cancelled task ends the answer as stop does") { _ in
        let (talk, double) = try conversation()
        let pieces = Pieces()
        let task = Task { try await talk.say("wait") { await pieces.add($0) } }
        try await soon("two pieces") { await pieces.all.count == 2 }
        task.cancel()
        try same(try await task.value, Answer(text: "so far", ending: .cancelled, speed: nil))
        _ = try await talk.say("q", piece: quiet)
        try same(double.seen.histories, [[], [.init(.user, "wait"), .init(.assistant, "so far")]])
    }
    await suite.run("stop before the first piece leaves nothing") { _ in
        let (talk, double) = try conversation()
        let ended = Pieces()
        let task = Task {
            let answer = try await talk.say("silent", piece: quiet)
            await ended.add(answer.ending.rawValue)
        }
        try await soon("a session") { double.seen.histories.count == 1 }
        try await soon("an end") {
            await talk.stop()
            return await ended.all == ["cancelled"]
        }
        try await task.value
        try same(await talk.turns, [])
        _ = try await talk.say("q", piece: quiet)
        try same(await talk.turns.map(\.text), ["q", "right"])
        try same(double.seen.histories, [[], []])  // the old session may remember the question
    }
    await suite.run("broken engine leaves what was said and begins anew") { _ in
        let (talk, double) = try conversation()
        _ = try await talk.say("q", piece: quiet)
        double.set(.breaking)
        let error = try await thrown { _ = try await talk.say("more", piece: quiet) }
        try same(error as? EngineError, .failed("the engine broke"))
        try same(await talk.turns.count, 2)
        double.set(.breaking, false)
        _ = try await talk.say("more", piece: quiet)
        try same(double.seen.histories.map(\.count), [0, 2])
    }
    await suite.run("full context is said until the restart") { _ in
        let (talk, double) = try conversation()
        try same(try await talk.say("everything", piece: quiet).ending, .context)
        try holds(await talk.full)
        let error = try await thrown { _ = try await talk.say("q", piece: quiet) }
        try same(error as? EngineError, .contextFull("the conversation has filled its context"))
        await talk.restart()
        try same(try await talk.say("q", piece: quiet).text, "right")
        try same(double.seen.histories, [[], []])
    }
    await suite.run("restart during an answer forgets it") { _ in
        let (talk, double) = try conversation()
        let pieces = Pieces()
        let task = Task { try await talk.say("wait") { await pieces.add($0) } }
        try await soon("two pieces") { await pieces.all.count == 2 }
        await talk.restart()
        _ = try await task.value
        try same(await talk.turns, [])
        _ = try await talk.say("q", piece: quiet)
        try same(double.seen.histories, [[], []])
    }
    await suite.run("second message waits for nobody and is refused") { _ in
        let (talk, _) = try conversation()
        let pieces = Pieces()
        let task = Task { try await talk.say("wait") { await pieces.add($0) } }
        try await soon("two pieces") { await pieces.all.count == 2 }
        let error = try await thrown { _ = try await talk.say("q", piece: quiet) }
        try same(error as? EngineError, .failed("an answer is coming already"))
        await talk.stop()
        _ = try await task.value
        try same(await talk.turns.map(\.text), ["wait", "so far"])
    }
    await suite.run("stop while a session begins") { _ in
        let (talk, double) = try conversation([.held])
        let task = Task { try await talk.say("q", piece: quiet) }
        try await soon("a session") { double.seen.histories.count == 1 }
        await talk.stop()
        double.set(.held, false)
        try same(try await task.value, Answer(text: "", ending: .cancelled, speed: nil))
        try same(await talk.turns, [])
    }
    await suite.run("close while a session begins") { _ in
        let (talk, double) = try conversation([.held])
        let task = Task { try await talk.say("q", piece: quiet) }
        try await soon("a session") { double.seen.histories.count == 1 }
        await talk.close()
        double.set(.held, false)
        let error = try await thrown { _ = try await task.value }
        try same(error as? EngineError, .closed)
    }
    await suite.run("closed conversation says so") { _ in
        let (talk, _) = try conversation()
        await talk.close()
        let error = try await thrown { _ = try await talk.say("q", piece: quiet) }
        try same(error as? EngineError, .closed)
    }
}
