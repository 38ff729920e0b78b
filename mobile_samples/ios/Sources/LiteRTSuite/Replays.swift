import GemmaCore
import GemmaLiteRT

/// What the reference said comes out, and what it did not say is noticed.
func replays(_ models: Models, _ engine: any Engine, changed: GoldenFile, damaged: String) async {
    await Suite.run("the self-test passes by text, and says so by counts") {
        let report = try await SelfTest(models.goldens).run(engine, artifactSha256: models.goldens.artifactSha256)
        try holds(report.verdict == .passed && report.count(.passed) == models.goldens.goldens.count, report.summary)
        try holds(!report.sharp && report.summary.contains("by text alone"), report.summary)
        Suite.figure("self-test", report.summary)
    }
    await Suite.run("a golden with another text fails") {
        let report = try await SelfTest(changed).run(engine, artifactSha256: changed.artifactSha256)
        try same(Verdict.failed, report.verdict)
        try same(1, report.count(.failed))
        Suite.figure("self-test of a changed golden", report.summary)
    }
    await Suite.run("a model that computes wrongly fails") {
        let other = try await models.factory(damaged).open(.cpu)
        let report = try await SelfTest(models.goldens).run(other, artifactSha256: models.goldens.artifactSha256)
        await other.close()
        try same(Verdict.failed, report.verdict)
        Suite.figure("self-test of damaged weights", report.summary)
    }
    await Suite.run("every golden that is certain comes out token by token") {
        var compared = 0
        let stops = models.goldens.stopTokens
        let chats = models.goldens.goldens.filter { !$0.turns.isEmpty }
        for golden in chats where golden.certain == golden.continuation.count {
            let settings = SessionSettings(
                history: golden.turns.dropLast(), sampling: .greedy, maxTokens: golden.continuation.count)
            let said = try await engine.within(settings) { try await ask($0, golden.turns.last?.text ?? "") }
            try same(golden.text, said.text)
            try same(golden.continuation.filter { !stops.contains($0) }, await engine.tokens(said.text))
            try same(Array(golden.ids.dropFirst()), await engine.tokens(golden.prompt))
            compared += 1
        }
        try holds(compared >= 4, "only \(compared) goldens are certain chats")
    }
    await Suite.run("a bare prompt is continued without any template") {
        guard case .text(let replay) = engine.replay else { throw Wrong(description: "it gives logits") }
        for golden in models.goldens.goldens where golden.certain == golden.continuation.count {
            try same(golden.text, await replay.complete(golden.prompt, maxTokens: golden.continuation.count))
        }
        let error = try await fails { _ = try await replay.complete("a\u{0}b", maxTokens: 1) }
        try holds(error.message.contains("zero character"), error.message)
    }
    await Suite.run("the engine writes a golden's conversation as the reference does") {
        for golden in models.goldens.goldens where !golden.turns.isEmpty {
            let prompt = try await engine.prompt(golden.turns.last?.text ?? "", history: golden.turns.dropLast())
            try holds(golden.prompt == prompt || golden.prompt == "<bos>\(prompt)", "\(golden.prompt)\n\(prompt)")
        }
    }
}
