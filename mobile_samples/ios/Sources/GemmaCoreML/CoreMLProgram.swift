#if canImport(CoreML)
import CoreML
import Foundation
import GemmaCore

/// The packages of a bundle in Core ML. A function is loaded when it is called for the first time: prefill of a length
/// that is never used costs nothing.
final class CoreMLProgram: Program {
    private struct Key: Hashable {
        let part: Int
        let function: String
    }

    /// The loaded functions by part and name.
    private actor Models {
        private var loaded: [Key: CoreMLFunction] = [:]
        private let urls: [URL]
        private let units: MLComputeUnits

        init(_ urls: [URL], _ units: MLComputeUnits) {
            self.urls = urls
            self.units = units
        }

        func model(_ key: Key) async throws -> CoreMLFunction {
            if let found = loaded[key] { return found }
            let made = try await CoreMLFunction(urls[key.part], key.function, units)
            loaded[key] = made
            return made
        }

        func forget() {
            loaded = [:]
        }
    }

    /// One state for each part. `MLState` may be used by one call at a time, and a conversation's cache, which alone has
    /// it, makes one call after the other.
    private struct States: ProgramStates, @unchecked Sendable {
        let parts: [MLState]
    }

    private let parts: [Calls.Part]
    private let models: Models

    /// Compiles the packages, unless that was done before, and loads `decode` of each, so that what cannot run is found
    /// here.
    init(_ manifest: Manifest, folder: URL, compiled: URL, units: MLComputeUnits) async throws {
        guard let calls = manifest.feeding.calls else { throw Refused("it is not said how this model is fed") }
        parts = calls.parts
        let place = CoreMLPackage.place(manifest, in: compiled)
        var urls: [URL] = []
        for part in parts { urls.append(try await CoreMLPackage.compile(part.model, folder: folder, place: place)) }
        models = Models(urls, units)
        for (index, part) in parts.enumerated() where part.functions[Chunks.decode] != nil {
            _ = try await models.model(Key(part: index, function: Chunks.decode))
        }
    }

    func makeStates() async throws -> any ProgramStates {
        var states: [MLState] = []
        for index in parts.indices {
            states.append(try await models.model(Key(part: index, function: Chunks.decode)).model.makeState())
        }
        return States(parts: states)
    }

    func run(
        part: Int, function: String, inputs: [Tensor], states: any ProgramStates
    ) async throws -> [String: Tensor] {
        guard let states = states as? States else { throw EngineError.failed("states of another program") }
        return try await asEngine {
            let loaded = try await models.model(Key(part: part, function: function))
            return try await loaded.predict(inputs, states.parts[part])
        }
    }

    func close() async {
        await models.forget()
    }
}
#endif
