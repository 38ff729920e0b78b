import Foundation
import GemmaChat
import GemmaCore

/// The chat itself.
@MainActor
func chatCases(_ suite: Suite, _ bundle: URL) async {
    func chatting(_ work: URL, _ flags: Set<Knowing.Flag> = []) async throws -> Run {
        let run = try Run(work, app: bundle, whole: bundle, [.cpu], flags)
        run.presenter.start()
        try await run.chat()
        return run
    }

    await suite.run("answer streams and has a speed") { work in
        let run = try await chatting(work)
        guard let golden = run.golden.goldens.first, let question = golden.turns.last?.text else {
            throw Wrong(description: "no golden")
        }
        run.presenter.send(question)
        try same(run.screen.messages.map(\.text), [question, ""])
        let first = String(golden.text.prefix(1))
        try await run.until("the first piece") { $0.answering && $0.messages.last?.text == first }
        let answer = try await run.answered()
        try same(answer.text, golden.text)
        try same(answer.speed, Speed(tokens: golden.text.count, tokensPerSecond: 10, firstTokenSeconds: 0.1))
        try same(answer.cut, nil)
        try holds(!answer.stopped)
        try same(run.double.seen.limits, [48])  // half of the bundle's context
        await run.presenter.close()
    }
    await suite.run("stopped answer stays and a new chat is empty") { work in
        let run = try await chatting(work)
        run.presenter.send("wait")
        try await run.until("a piece") { $0.answering && $0.messages.last?.text == "so far" }
        run.presenter.stop()
        let answer = try await run.answered()
        try same(answer.text, "so far")
        try holds(answer.stopped)
        run.presenter.newChat()
        try await run.until("a new chat") { $0.messages.isEmpty }
        run.presenter.send("hello")
        try same(try await run.answered().text, "I do not know")
        try same(run.double.seen.histories, [[], []])
        await run.presenter.close()
    }
    await suite.run("new chat during an answer ends it") { work in
        let run = try await chatting(work)
        run.presenter.send("wait")
        try await run.until("a piece") { $0.answering && $0.messages.last?.text == "so far" }
        run.presenter.newChat()
        let fresh = try await run.until("a new chat") { $0.messages.isEmpty }
        try holds(!fresh.answering)
        await run.presenter.close()
    }
    await suite.run("broken answer gives the message back") { work in
        let run = try await chatting(work)
        run.double.set(.breaking)
        run.presenter.send("my words")
        let failure = try await run.failed(.answer)
        try same(failure, Failure(.answer, "the engine broke", [.retry, .newChat]))
        try same(run.screen.draft, "my words")
        try same(run.screen.messages, [])
        run.presenter.send("into a covered chat")
        try same(run.screen.messages, [])
        run.presenter.act(.retry)
        try same(run.screen.failure, nil)
        run.double.set(.breaking, false)
        run.presenter.send("my words")
        try same(run.screen.draft, "")
        try same(try await run.answered().text, "I do not know")
        await run.presenter.close()
    }
    await suite.run("cut answer says so and the chat goes on") { work in
        let run = try await chatting(work)
        run.presenter.send("much")
        try same(try await run.answered().cut, .limit)
        run.presenter.send("go on")
        try same(try await run.answered(4).cut, nil)
        await run.presenter.close()
    }
    await suite.run("full conversation offers a new one and keeps the message") { work in
        let run = try await chatting(work)
        run.presenter.send("everything")
        try same(try await run.answered().cut, .context)
        run.presenter.send("my words")
        let failure = try await run.failed(.full)
        try same(failure.actions, [.newChat, .back])
        try same(run.screen.draft, "my words")
        try same(run.screen.messages.count, 2)
        run.presenter.act(.back)
        try same(run.screen.failure, nil)
        try same(run.screen.messages.count, 2)
        run.presenter.act(.newChat)
        let fresh = try await run.until("a new chat") { $0.messages.isEmpty }
        try same(fresh.draft, "my words")
        run.presenter.send("my words")
        try same(try await run.answered().text, "I do not know")
        await run.presenter.close()
    }
    await suite.run("message that is too long for any chat is given back") { work in
        let run = try await chatting(work)
        run.presenter.send("too long")
        try same(try await run.failed(.tooLong), Failure(.tooLong, "309 >= 128", [.back]))
        try same(run.screen.draft, "too long")
        await run.presenter.close()
    }
    await suite.run("empty messages and a second one at once are not sent") { work in
        let run = try await chatting(work)
        run.presenter.send(" \n ")
        try same(run.screen.messages, [])
        run.presenter.send("wait")
        run.presenter.send("at once")
        try same(run.screen.messages.map(\.text), ["wait", ""])
        try await run.until("a piece") { $0.answering && $0.messages.last?.text == "so far" }
        await run.presenter.close()
        run.presenter.send("after the end")
        try same(run.double.seen.histories.count, 1)
    }
    await suite.run("session that is used up is not noticed") { work in
        let run = try await chatting(work, [.usedUp])
        run.presenter.send("wait")
        try await run.until("a piece") { $0.answering && $0.messages.last?.text == "so far" }
        run.presenter.stop()
        _ = try await run.answered()
        run.presenter.send("hello")
        try same(try await run.answered(4).text, "I do not know")
        try same(run.double.seen.histories.last?.map(\.text), ["wait", "so far"])
        await run.presenter.close()
    }
    await suite.run("messages have names of their own") { work in
        let run = try await chatting(work)
        run.presenter.send("one")
        _ = try await run.answered()
        run.presenter.send("two")
        _ = try await run.answered(4)
        try same(Set(run.screen.messages.map(\.id)).count, 4)
        await run.presenter.close()
    }
}
