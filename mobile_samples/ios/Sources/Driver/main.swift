import Foundation
import GemmaCore

// Answers commands of the tests: one JSON object a line with `command` and what it takes, one answer a line.

typealias Command = @Sendable (Fields) async throws -> Json

func tables() -> [[String: Command]] {
    [feedCommands, bundleCommands, programCommands, textCommands, downloadCommands]
}

let commands = tables().reduce(into: [String: Command]()) { $0.merge($1) { first, _ in first } }

while let line = readLine() {
    let answer: Json
    do {
        let asked = try Fields(Json.parse(line), "command")
        let name = try asked.text("command")
        guard let command = commands[name] else { throw Refused("no command \(name)") }
        answer = try await command(asked)
    } catch {
        answer = .object(["error": .text("\(error)"), "type": .text("\(type(of: error))")])
    }
    // Not by print: its buffer would have to be flushed, and C's `stdout` is no constant to Swift.
    FileHandle.standardOutput.write(Data((answer.written() + "\n").utf8))
}
