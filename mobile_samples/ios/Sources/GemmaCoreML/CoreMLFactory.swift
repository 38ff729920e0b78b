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

    /// - Parameters:
    ///   - folder: of the bundle, whose files were checked against the manifest.
    ///   - compiled: where compiled models may stay between two starts of the app.
    public init(manifest: Manifest, folder: URL, compiled: URL = .cachesDirectory) {
        self.manifest = manifest
        self.folder = folder
        self.compiled = compiled
    }

    public func open(_ backend: Backend) async throws -> any Engine {
        do {
            let program = try await CoreMLProgram(manifest, folder: folder, compiled: compiled, units: backend.units)
            return try ProgramEngine(manifest, folder: folder, program: program, backend: backend)
        } catch let error as Refused {
            throw error
        } catch {
            throw EngineError.failed(error.localizedDescription)
        }
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
