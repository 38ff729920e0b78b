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

    /// A loaded function. Its asynchronous predictions may be asked for from any thread.
    private struct Loaded: @unchecked Sendable {
        let model: MLModel

        init(_ url: URL, _ function: String, _ units: MLComputeUnits) async throws {
            let configuration = MLModelConfiguration()
            configuration.computeUnits = units
            configuration.functionName = function
            model = try await MLModel.load(contentsOf: url, configuration: configuration)
        }

        func predict(_ inputs: [Tensor], _ state: MLState) async throws -> [String: Tensor] {
            var features: [String: MLFeatureValue] = [:]
            for input in inputs { features[input.type.name] = MLFeatureValue(multiArray: try MLMultiArray(input)) }
            let provider = try MLDictionaryFeatureProvider(dictionary: features)
            let out = try await model.prediction(from: provider, using: state)
            var made: [String: Tensor] = [:]
            for name in out.featureNames {
                if let array = out.featureValue(for: name)?.multiArrayValue { made[name] = try Tensor(name, array) }
            }
            return made
        }
    }

    /// The loaded functions by part and name.
    private actor Models {
        private var loaded: [Key: Loaded] = [:]
        private let urls: [URL]
        private let units: MLComputeUnits

        init(_ urls: [URL], _ units: MLComputeUnits) {
            self.urls = urls
            self.units = units
        }

        func model(_ key: Key) async throws -> Loaded {
            if let found = loaded[key] { return found }
            let made = try await Loaded(urls[key.part], key.function, units)
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
        let place = compiled.appendingPathComponent("compiled-\(manifest.artifactSha256.prefix(16))")
        var urls: [URL] = []
        for part in parts { urls.append(try await CoreMLProgram.compile(part.model, folder: folder, place: place)) }
        models = Models(urls, units)
        for (index, part) in parts.enumerated() where part.functions[Chunks.decode] != nil {
            _ = try await models.model(Key(part: index, function: Chunks.decode))
        }
    }

    private static func compile(_ name: String, folder: URL, place: URL) async throws -> URL {
        let kept = place.appendingPathComponent(name + "c")
        if FileManager.default.fileExists(atPath: kept.path) { return kept }
        let made = try await MLModel.compileModel(at: folder.appendingPathComponent(name))
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        try FileManager.default.moveItem(at: made, to: kept)
        return kept
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
        do {
            let loaded = try await models.model(Key(part: part, function: function))
            return try await loaded.predict(inputs, states.parts[part])
        } catch is CancellationError {
            throw CancellationError()
        } catch let error as Refused {
            throw EngineError.failed(error.message)
        } catch {
            throw EngineError.failed(error.localizedDescription)
        }
    }

    func close() async {
        await models.forget()
    }
}
#endif
