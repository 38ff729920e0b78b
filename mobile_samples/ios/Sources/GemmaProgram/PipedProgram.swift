import Foundation
import GemmaCore

/// For tests: a program whose functions another process runs, at the other end of two named pipes.
///
/// Asked for is a line of JSON, then the inputs' bytes; answered a line with names, shapes and types of the outputs, then
/// their bytes.
public actor PipedProgram: Program, PictureProgram {
    private struct Number: ProgramStates {
        let number: Int
    }

    private let manifest: Manifest
    private let out: FileHandle
    private let back: FileHandle

    /// Opens the pipes, in this order; the other side opens them in the same.
    public init(_ manifest: Manifest, to: String, from: String) throws {
        self.manifest = manifest
        guard let out = FileHandle(forWritingAtPath: to), let back = FileHandle(forReadingAtPath: from) else {
            throw Refused("a pipe cannot be opened")
        }
        self.out = out
        self.back = back
    }

    public func makeStates() async throws -> any ProgramStates {
        let answer = try await ask(["states": .flag(true)], [])
        return Number(number: try answer.count("number"))
    }

    public func run(
        part: Int, function: String, inputs: [Tensor], states: any ProgramStates
    ) async throws -> [String: Tensor] {
        guard let states = states as? Number else { throw EngineError.failed("states of another program") }
        let asked: [String: Json] = [
            "states": .integer(Int64(states.number)), "part": .integer(Int64(part)), "function": .text(function),
        ]
        return try await outputs(asked, inputs)
    }

    private func outputs(_ asked: [String: Json], _ inputs: [Tensor]) async throws -> [String: Tensor] {
        let described = inputs.map { input -> Json in
            .object([
                "name": .text(input.type.name), "dtype": .text(input.type.dtype.rawValue),
                "shape": .array(input.type.shape.map { .integer(Int64($0)) }),
            ])
        }
        let answer = try await ask(asked.merging(["inputs": .array(described)]) { $1 }, inputs)
        var made: [String: Tensor] = [:]
        for each in try answer.children("outputs") {
            let type = try TensorType(each)
            made[type.name] = try Tensor(type, bytes: read(type.count * type.dtype.size))
        }
        return made
    }

    public func see(model: String, function: String, inputs: [Tensor]) async throws -> [String: Tensor] {
        try await outputs(["model": .text(model), "function": .text(function)], inputs)
    }

    public func rest() async {
        _ = try? await ask(["rest": .flag(true)], [])
    }

    public func close() async {
        try? out.close()
        try? back.close()
    }

    private func ask(_ members: [String: Json], _ inputs: [Tensor]) async throws -> Fields {
        try out.write(contentsOf: Data((Json.object(members).written() + "\n").utf8))
        for input in inputs { try out.write(contentsOf: Data(input.bytes)) }
        var line: [UInt8] = []
        while true {
            let byte = try read(1)[0]
            if byte == UInt8(ascii: "\n") { break }
            line.append(byte)
        }
        let answer = try Fields(Json.parse(line), "answer")
        if answer.has("error") { throw EngineError.failed(try answer.text("error")) }
        return answer
    }

    private func read(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard let data = try back.read(upToCount: count - bytes.count), !data.isEmpty else {
                throw EngineError.failed("the other side has ended")
            }
            bytes += data
        }
        return bytes
    }
}
