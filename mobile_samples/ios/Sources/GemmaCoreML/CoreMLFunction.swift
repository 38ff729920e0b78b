#if canImport(CoreML)
import CoreML
import Foundation
import GemmaCore

/// A loaded function of a package. Its asynchronous predictions may be asked for from any thread.
struct CoreMLFunction: @unchecked Sendable {
    let model: MLModel

    init(_ url: URL, _ function: String, _ units: MLComputeUnits) async throws {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units
        configuration.functionName = function
        model = try await MLModel.load(contentsOf: url, configuration: configuration)
    }

    /// - Parameter state: nil for a function that has none.
    func predict(_ inputs: [Tensor], _ state: MLState?) async throws -> [String: Tensor] {
        var features: [String: MLFeatureValue] = [:]
        for input in inputs { features[input.type.name] = MLFeatureValue(multiArray: try MLMultiArray(input)) }
        let provider = try MLDictionaryFeatureProvider(dictionary: features)
        let out: any MLFeatureProvider
        if let state {
            out = try await model.prediction(from: provider, using: state)
        } else {
            out = try await model.prediction(from: provider)
        }
        var made: [String: Tensor] = [:]
        for name in out.featureNames {
            if let array = out.featureValue(for: name)?.multiArrayValue { made[name] = try Tensor(name, array) }
        }
        return made
    }
}

/// A package of a bundle as Core ML takes it.
enum CoreMLPackage {
    /// Where the compiled models of a bundle lie between two starts of the app.
    static func place(_ manifest: Manifest, in compiled: URL) -> URL {
        compiled.appendingPathComponent("compiled-\(manifest.artifactSha256.prefix(16))")
    }

    /// Compiles a package, unless that was done before.
    static func compile(_ name: String, folder: URL, place: URL) async throws -> URL {
        let kept = place.appendingPathComponent(name + "c")
        if FileManager.default.fileExists(atPath: kept.path) { return kept }
        let made = try await MLModel.compileModel(at: folder.appendingPathComponent(name))
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        try FileManager.default.moveItem(at: made, to: kept)
        return kept
    }
}

/// Runs a call; what goes wrong in it becomes an error of the engine.
func asEngine<Result: Sendable>(
    isolation: isolated (any Actor)? = #isolation, _ call: () async throws -> Result
) async throws -> Result {
    do {
        return try await call()
    } catch is CancellationError {
        throw CancellationError()
    } catch let error as EngineError {
        throw error
    } catch let error as Refused {
        throw EngineError.failed(error.message)
    } catch {
        throw EngineError.failed(error.localizedDescription)
    }
}
#endif
