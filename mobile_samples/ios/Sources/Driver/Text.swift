import Foundation
import GemmaCore

// Tokenizers and chat templates. Texts come as files of JSON, a value a line, and answers go to such files: thousands
// of texts are one command.

/// What commands have opened, by the names that they gave.
private final class Opened<Thing: Sendable>: @unchecked Sendable {
    private let lock = NSLock()
    private var things: [String: Thing] = [:]

    func keep(_ thing: Thing, _ name: String) {
        lock.withLock { things[name] = thing }
    }

    func find(_ name: String) throws -> Thing {
        guard let found = lock.withLock({ things[name] }) else { throw Refused("nothing called \(name) is loaded") }
        return found
    }
}

private let tokenizers = Opened<Tokenizer>()
private let templates = Opened<ChatTemplate>()

private func lines(_ path: String) throws -> [String] {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
}

private func write(_ answers: [Json], _ path: String) throws {
    let text = answers.map { $0.written() + "\n" }.joined()
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
}

private func text(_ json: Json) throws -> String {
    guard case .text(let value) = json else { throw Refused("a line is no text") }
    return value
}

private func tokens(_ json: Json) throws -> [Int32] {
    try Fields(.object(["tokens": json]), "line").int32s("tokens")
}

/// Answers each line of `given` by a line of `told`.
private func each(_ asked: Fields, _ answer: (Json) throws -> Json) throws -> Json {
    let began = Date()
    let answers = try lines(asked.text("given")).map { try answer(Json.parse($0)) }
    let seconds = Date().timeIntervalSince(began)
    try write(answers, asked.text("told"))
    return .object(["lines": .integer(Int64(answers.count)), "seconds": .number(seconds)])
}

private func render(_ template: ChatTemplate, _ line: Json) -> Json {
    do {
        let asked = try Fields(line, "line")
        guard !asked.has("variables") else {
            let text = try template.render(variables: Array(asked.text("variables").utf8))
            return .object(["text": .text(text)])
        }
        let turns = try asked.children("turns").map { turn in
            guard let role = Role(rawValue: try turn.text("role")) else { throw Refused("no such role") }
            return Turn(role, try turn.text("content"))
        }
        var more: [String: Json] = [:]
        if asked.has("more") {
            let given = try asked.child("more")
            for key in given.keys { more[key] = try given.json(key) }
        }
        let text = try template.render(
            turns, start: asked.text("start"), thinking: asked.flag("thinking"),
            generation: asked.flag("generation"), more: more)
        return .object(["text": .text(text)])
    } catch {
        return .object(["error": .text("\(error)"), "type": .text("\(type(of: error))")])
    }
}

let textCommands: [String: Command] = [
    "tokenizer.load": { asked in
        let began = Date()
        let tokenizer = try Tokenizer(file: URL(fileURLWithPath: asked.text("file")))
        tokenizers.keep(tokenizer, try asked.text("name"))
        return .object([
            "count": .integer(Int64(tokenizer.count)), "seconds": .number(Date().timeIntervalSince(began)),
        ])
    },
    // `given`: texts; `told`: their tokens.
    "tokenizer.encode": { asked in
        let tokenizer = try tokenizers.find(asked.text("name"))
        let control = try asked.flag("control")
        return try each(asked) { line in
            .array(tokenizer.encode(try text(line), controlTokens: control).map { .integer(Int64($0)) })
        }
    },
    // `given`: tokens; `told`: the text of all, then the pieces as they came one by one.
    "tokenizer.decode": { asked in
        let tokenizer = try tokenizers.find(asked.text("name"))
        let skip = try asked.flag("skip_special")
        return try each(asked) { line in
            let all = try tokens(line)
            var decoder = StreamDecoder(tokenizer, skipSpecial: skip)
            var pieces = try all.map { try decoder.push($0) }
            pieces.append(decoder.finish())
            return .array([.text(try tokenizer.decode(all, skipSpecial: skip)), .array(pieces.map { .text($0) })])
        }
    },
    "tokenizer.text": { asked in
        let tokenizer = try tokenizers.find(asked.text("name"))
        guard let id = Int32(exactly: try asked.integer("id")), let text = tokenizer.text(of: id) else {
            return .object(["text": .null])
        }
        let back = tokenizer.id(of: text).map { Json.integer(Int64($0)) } ?? .null
        return .object(["text": .text(text), "id": back, "special": .flag(tokenizer.isSpecial(id))])
    },
    "template.load": { asked in
        templates.keep(try ChatTemplate(asked.text("source")), try asked.text("name"))
        return .object([:])
    },
    // `given`: conversations, or all variables; `told`: what the template makes of each, or its error.
    "template.render": { asked in
        let template = try templates.find(asked.text("name"))
        return try each(asked) { render(template, $0) }
    },
]
