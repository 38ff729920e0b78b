import Foundation
import GemmaCore
import GemmaLiteRT

/// Pictures, by a model with a vision tower of noise and one without; `folder` has one.png, other.png and broken.png.
func pictures(_ models: Models, seeing: String, blind: String, folder: String) async {
    func path(_ name: String) -> String { "\(folder)/\(name).png" }
    func asked(_ engine: any Engine, _ pictures: [String], _ question: String = "What is it?") async throws -> String {
        try await engine.within(short) { session in
            guard let answer = try await listen(await session.send(question, pictures: pictures)).answer else {
                throw Wrong(description: "the answer has no end")
            }
            return answer.text
        }
    }

    await Suite.run("the model sees pictures, one, another and both") {
        let engine = try await models.factory(seeing, pictures: 4).open(.cpu)
        try holds(engine.takesPictures)
        var seen: [String] = []
        for pictures in [[], ["one"], ["other"], ["one", "other"]] {
            seen.append(try await asked(engine, pictures.map(path)))
        }
        try same(4, Set(seen).count)
        try same(seen[1], try await asked(engine, [path("one")]))
        try holds(try await !asked(engine, [path("one")], "").isEmpty)
        await engine.close()
    }
    await Suite.run("a picture stays seen in a later turn") {
        let engine = try await models.factory(seeing, pictures: 4).open(.cpu)
        var later: [String] = []
        for name in ["one", "other"] {
            let talk = Conversation(engine, settings: short)
            _ = try await talk.say("What is it?", pictures: [path(name)]) { _ in }
            later.append(try await talk.say("And now?") { _ in }.text)
            await talk.close()
        }
        try same(2, Set(later).count)
        await engine.close()
    }
    await Suite.run("a picture that is none is a failure, and the conversation goes on") {
        let engine = try await models.factory(seeing, pictures: 4).open(.cpu)
        let talk = Conversation(engine, settings: short)
        for name in ["broken", "nowhere"] {
            let error = try await fails { _ = try await talk.say("What is it?", pictures: [path(name)]) { _ in } }
            Suite.figure("of \(name)", error.message)
        }
        try holds(try await !talk.say("What is it?", pictures: [path("one")]) { _ in }.text.isEmpty)
        await talk.close()
        await engine.close()
    }
    await Suite.run("without a place for pictures none is taken") {
        let engine = try await models.factory(seeing).open(.cpu)
        try holds(!engine.takesPictures)
        _ = try await fails { _ = try await asked(engine, [path("one")]) }
        await engine.close()
    }
    await Suite.run("with a place for pictures a model without a tower says nothing at all") {
        let engine = try await models.factory(blind, pictures: 4).open(.cpu)
        let error = try await fails { _ = try await asked(engine, []) }
        Suite.figure("of a model without a tower", error.message)
        await engine.close()
    }
}
