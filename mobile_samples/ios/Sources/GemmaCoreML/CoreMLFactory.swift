#if canImport(CoreML)
import CoreML
import Foundation
import GemmaCore

/// Loads a bundle's packages in Core ML. The Neural Engine first, then the GPU, then the CPU alone: the self-test says
/// which of them computes what was judged.
public struct CoreMLFactory: EngineFactory {
    public let backends: [Backend] = [.neuralEngine, .gpu, .cpu]
    private let manifest: Manifest
    private let folder: URL
    private let compiled: URL
    private let pictures: Pictures?

    /// What its engines need to take pictures: see `Sight`.
    public struct Pictures: Sendable {
        let open: Sight.Open
        let available: @Sendable () -> Int64

        public init(open: @escaping Sight.Open, available: @escaping @Sendable () -> Int64) {
            self.open = open
            self.available = available
        }
    }

    /// - Parameters:
    ///   - folder: of the bundle, whose files were checked against the manifest.
    ///   - compiled: where compiled models may stay between two starts of the app.
    ///   - pictures: nil: engines take none, whatever the model does.
    public init(manifest: Manifest, folder: URL, compiled: URL = .cachesDirectory, pictures: Pictures? = nil) {
        self.manifest = manifest
        self.folder = folder
        self.compiled = compiled
        self.pictures = pictures
    }

    public func open(_ backend: Backend) async throws -> any Engine {
        do {
            let program = try await CoreMLProgram(manifest, folder: folder, compiled: compiled, units: backend.units)
            return try ProgramEngine(
                manifest, folder: folder, program: program, backend: backend, sight: sight(backend))
        } catch let error as Refused {
            throw error
        } catch {
            throw EngineError.failed(error.localizedDescription)
        }
    }
}

extension CoreMLFactory {
    /// The package that reads pictures computes in float32 between its products, which the Neural Engine does not do.
    private func sight(_ backend: Backend) -> Sight? {
        guard let pictures else { return nil }
        let program = CoreMLPictures(
            folder: folder, place: CoreMLPackage.place(manifest, in: compiled),
            units: backend == .cpu ? .cpuOnly : .cpuAndGPU)
        return Sight(program, open: pictures.open, available: pictures.available)
    }
}

extension Backend {
    var units: MLComputeUnits {
        switch self {
        case .neuralEngine: return .cpuAndNeuralEngine
        case .gpu: return .cpuAndGPU
        case .cpu: return .cpuOnly
        }
    }
}
#endif
