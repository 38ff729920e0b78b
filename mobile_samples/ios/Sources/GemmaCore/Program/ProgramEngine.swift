import Foundation

/// An engine whose loop is here: it feeds a program by the manifest, draws tokens, and makes text of them.
public final class ProgramEngine: Engine {
    public let backend: Backend
    let manifest: Manifest
    let tokenizer: Tokenizer
    let template: ChatTemplate
    package let feeder: Feeder
    package let program: any Program
    package let pictures: PictureReader?

    /// - Parameters:
    ///   - folder: of the bundle, whose files were checked against the manifest.
    ///   - program: the manifest's packages, loaded.
    ///   - sight: what reads pictures, where the manifest says how they are cut; nil for an engine that takes none.
    /// - Throws: `Refused`: a file of the bundle is not what it must be.
    public init(
        _ manifest: Manifest, folder: URL, program: any Program, backend: Backend, sight: Sight? = nil
    ) throws {
        self.manifest = manifest
        self.program = program
        self.backend = backend
        feeder = try Feeder(manifest, folder: folder)
        pictures = try sight.flatMap { [feeder] in try PictureReader(manifest, $0, feeder) }
        tokenizer = try Tokenizer(file: folder.appendingPathComponent("tokenizer.json"))
        let file = folder.appendingPathComponent("chat_template.jinja")
        guard let source = try? String(contentsOf: file, encoding: .utf8) else {
            throw Refused("chat_template.jinja is missing or no text")
        }
        template = try ChatTemplate(source)
    }

    public func start(_ settings: SessionSettings) async throws -> any Session {
        ProgramSession(self, settings, try await Cache(program, feeder))
    }

    /// Of the model, as the manifest says it.
    public var artifactSha256: String { manifest.artifactSha256 }

    public var replay: Replay { .logits(self) }

    public var takesPictures: Bool { pictures != nil }

    public func close() async {
        await pictures?.close()
        await program.close()
    }

    /// Token ids of a conversation, as the model was trained to read one: it goes on with the model's turn. A picture is
    /// one token in it.
    func ids(_ turns: [Turn], thinking: Bool) throws -> [Int32] {
        let start = manifest.feeding.start
        let text = try template.render(turns, start: start.text ?? "", thinking: thinking)
        let ids = tokenizer.encode(text)
        // The template prints the start token most often; it is fed once in any case.
        return ids.first == start.id ? ids : [start.id] + ids
    }
}

extension ProgramEngine: LogitsReplay {
    public func replay(
        ids: [Int32], continuation: [Int32], look: @Sendable (_ step: Int, _ logits: [Float]) throws -> Void
    ) async throws {
        let cache = try await Cache(program, feeder)
        for i in continuation.indices {
            let logits = i == 0 ? try await cache.read(ids) : try await cache.step(continuation[i - 1])
            try look(i, logits)
        }
    }
}
