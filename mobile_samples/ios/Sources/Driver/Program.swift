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
    // A conversation: `messages` one after the other, greedily unless there is a seed.
    "talk": { asked in
        let engine = try await engine(asked)
        let system = try asked.textOrNil("system")
        let session = try await engine.start(
            SessionSettings(
                history: system.map { [Turn(.system, $0)] } ?? [], sampling: .greedy,
                maxTokens: try asked.count("max_tokens")))
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
]
