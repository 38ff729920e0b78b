import Foundation
import GemmaCore
import GemmaProgram

private func engine(_ asked: Fields) async throws -> ProgramEngine {
    let folder = URL(fileURLWithPath: try asked.text("folder"))
    let manifest = try Manifest(bytes(folder.appendingPathComponent("manifest.json").path), platform: "ios")
    let program = try PipedProgram(manifest, to: asked.text("to"), from: asked.text("from"))
    return try ProgramEngine(manifest, folder: folder, program: program, backend: .cpu)
}

let programCommands: [String: Command] = [
    // The self-test through a program at the other end of two pipes.
    "self-test": { asked in
        let engine = try await engine(asked)
        let folder = URL(fileURLWithPath: try asked.text("folder"))
        let file = try GoldenFile(bytes(folder.appendingPathComponent("golden.json").path))
        let report = try await SelfTest(file).run(engine, artifactSha256: engine.artifactSha256)
        await engine.close()
        return report.json()
    },
    // A conversation: after what was said before, `messages` one after the other, greedily.
    "talk": { asked in
        let engine = try await engine(asked)
        let history = try asked.children("history").map { said -> Turn in
            let role = try said.text("role")
            guard let known = Role(rawValue: role) else { throw Refused("no role \(role)") }
            return Turn(known, try said.text("content"))
        }
        let settings = SessionSettings(history: history, sampling: .greedy, maxTokens: try asked.count("max_tokens"))
        let session = try await engine.start(settings)
        var answers: [Json] = []
        for message in try asked.texts("messages") {
            var pieces = "", answer: Answer?
            for try await event in await session.send(message) {
                switch event {
                case .piece(let piece): pieces += piece
                case .ended(let ended): answer = ended
                }
            }
            guard let answer, answer.text == pieces else { throw Refused("the pieces are not the answer") }
            answers.append(.object(["text": .text(answer.text), "ending": .text(answer.ending.rawValue)]))
        }
        await session.close()
        await engine.close()
        return .object(["answers": .array(answers)])
    },
    // Token ids read one after the other, in one cache or each in one of its own: the logits behind each go to a file.
    "read": { asked in
        let engine = try await engine(asked), together = try asked.flag("together")
        guard case .array(let lists) = try asked.json("ids") else { throw Refused("no array") }
        var cache = try await Cache(engine.program, engine.feeder), logits: [Float] = []
        for list in lists {
            if !together { cache = try await Cache(engine.program, engine.feeder) }
            logits += try await cache.read(Fields(.object(["ids": list]), "read").int32s("ids"))
        }
        await engine.close()
        try logits.withUnsafeBytes { try Data($0).write(to: URL(fileURLWithPath: asked.text("out"))) }
        return .object(["count": .integer(Int64(logits.count))])
    },
]
