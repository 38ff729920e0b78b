import Foundation
import GemmaCore
import GemmaProgram

private func engine(_ asked: Fields) async throws -> ProgramEngine {
    let folder = URL(fileURLWithPath: try asked.text("folder"))
    let manifest = try Manifest(bytes(folder.appendingPathComponent("manifest.json").path), platform: "ios")
    let program = try PipedProgram(manifest, to: asked.text("to"), from: asked.text("from"))
    let free = asked.has("available") ? try asked.integer("available") : .max
    let blind = asked.has("blind"), sight = blind ? nil : Sight(program, open: rawPicture, available: { free })
    return try ProgramEngine(manifest, folder: folder, program: program, backend: .cpu, sight: sight)
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
            return Turn(known, try said.text("content"), pictures: said.has("pictures") ? try said.texts("pictures") : [])
        }
        let settings = SessionSettings(history: history, sampling: .greedy, maxTokens: try asked.count("max_tokens"))
        let session = try await engine.start(settings)
        var answers: [Json] = []
        for message in try asked.children("messages") {
            var pieces = "", answer: Answer?
            let text = try message.text("text"), files = try message.texts("pictures")
            for try await event in await session.send(text, pictures: files) {
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
    // Pictures, a list of files for each, stand where the chat template prints a place for them.
    "read": { asked in
        let engine = try await engine(asked), together = try asked.flag("together")
        guard case .array(let lists) = try asked.json("ids") else { throw Refused("no array") }
        var cache = try await Cache(engine.program, engine.feeder), logits: [Float] = []
        var seen: [String: PictureRows] = [:]
        for (i, list) in lists.enumerated() {
            if !together { cache = try await Cache(engine.program, engine.feeder) }
            let ids = try Fields(.object(["ids": list]), "read").int32s("ids")
            guard asked.has("pictures") else {
                logits += try await cache.read(ids)
                continue
            }
            guard let reader = engine.pictures, case .array(let files) = try asked.json("pictures") else {
                throw Refused("no pictures")
            }
            var rows: [PictureRows] = []
            for file in try Fields(.object(["files": files[i]]), "read").texts("files") {
                if seen[file] == nil { seen[file] = try await reader.read(file) }
                if let each = seen[file] { rows.append(each) }
            }
            logits += try await cache.read(Slot.spread(ids, rows, reader.cutting))
        }
        await engine.close()
        try logits.withUnsafeBytes { try Data($0).write(to: URL(fileURLWithPath: asked.text("out"))) }
        return .object(["count": .integer(Int64(logits.count))])
    },
]
