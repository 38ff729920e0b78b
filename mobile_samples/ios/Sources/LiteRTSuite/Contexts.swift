import GemmaCore
import GemmaLiteRT

/// The ends of a context and of an answer.
///
/// `halves` reads a message of any length up to its context; the demo here only in steps of 64 tokens.
func contexts(_ models: Models, _ engine: any Engine, endless: Sized, halves: Sized) async {
    await Suite.run("an answer that reaches the end of the context says so, and then so does the session") {
        let other = try await models.factory(endless.path, context: endless.context).open(.cpu)
        let session = try await other.start(greedy)
        let answer = try await ask(session, belgium)
        try same(Ending.context, answer.ending)
        try holds(answer.text.hasPrefix("BE"), answer.text)
        try same(false, await session.usable)
        let error = try await fails { _ = try await ask(session, belgium) }
        try holds(error.isContextFull, error.message)
        await session.close()
        try holds(await other.within(greedy) { try await ask($0, belgium).text }.hasPrefix("BE"), "nothing afterwards")
        await other.close()
        Suite.figure("context of \(endless.context)", "\(answer.speed?.tokens ?? 0) tokens, \(error.message)")
    }
    await Suite.run("a message that is longer than the context is told") {
        try await engine.within(short) { session in
            let error = try await fails {
                _ = try await ask(session, String(repeating: "word ", count: models.demo.context))
            }
            try holds(error.isContextFull, error.message)
            try same(false, await session.usable)
            Suite.figure("too long", error.message)
        }
        try same("BE", await engine.within(short) { try await ask($0, belgium).text })
    }
    await Suite.run("a message that fits into no more than an empty context is told, too") {
        func long(_ words: Int) -> String { String(repeating: "a ", count: words) + belgium }
        let other = try await models.factory(halves.path, context: halves.context).open(.cpu)
        var words = 0
        while try await other.tokens(other.prompt(long(words + 1))).count < halves.context - 4 { words += 1 }
        try holds(await !other.within(short) { try await ask($0, long(words)).text }.isEmpty, "it does not fit alone")
        try await other.within(short) { session in
            try same("BE", await ask(session, belgium).text)
            let error = try await fails { _ = try await ask(session, long(words)) }
            try holds(error.isContextFull, error.message)
            Suite.figure("too long for the rest", error.message)
        }
        await other.close()
    }
    await Suite.run("an answer that its limit cuts says so, and its session is used up") {
        let settings = SessionSettings(sampling: .greedy, maxTokens: 2)
        try await engine.within(settings) { session in
            let answer = try await ask(session, "Spell \"able\" backwards.")
            try same(Ending.limit, answer.ending)
            try holds("elba".hasPrefix(answer.text) && answer.text != "elba" && !answer.text.isEmpty, answer.text)
            try same(false, await session.usable)
        }
    }
}
