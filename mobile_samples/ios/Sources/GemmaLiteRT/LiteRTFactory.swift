import Foundation
internal import CLiteRTLM
import GemmaCore

/// Loads a bundle's `model.litertlm` with LiteRT-LM.
public struct LiteRTFactory: EngineFactory {
    public let backends: [Backend]
    private let library: @Sendable () throws -> LiteRTLibrary
    private let model: URL
    private let cache: URL
    private let threads: Int
    private let context: Int
    private let pictures: Int

    /// - Parameters:
    ///   - model: already checked against the manifest: damage makes native code crash.
    ///   - cache: a folder that the engine may fill; made where it is missing. Never the model's own: caches can be as
    ///     large as the model.
    ///   - threads: of the CPU; 0 leaves it to the engine.
    ///   - context: tokens of input and output together; 0 takes what the model was built with. More than that makes
    ///     some runtimes crash, so it comes from the manifest and not from the user.
    ///   - pictures: that a context has room for; 0 where the model takes none, of which the engine is told nothing.
    ///   - backends: worth trying, best first. LiteRT-LM knows no Neural Engine.
    ///   - library: called at every `open`.
    public init(
        model: URL, cache: URL, threads: Int = 0, context: Int = 0, pictures: Int = 0,
        backends: [Backend] = [.cpu],
        library: @escaping @Sendable () throws -> LiteRTLibrary = LiteRTLibrary.linked
    ) {
        self.model = model
        self.cache = cache
        self.threads = threads
        self.context = context
        self.pictures = pictures
        self.backends = backends
        self.library = library
    }

    public func open(_ backend: Backend) async throws -> any Engine {
        if backend == .neuralEngine { throw EngineError.failed("LiteRT-LM does not run on the Neural Engine") }
        let (library, handle) = try await aside { try load(backend) }
        return LiteRTEngine(library, handle, backend, context: context, pictures: pictures > 0)
    }

    private func load(_ backend: Backend) throws -> (LiteRTLibrary, Handle) {
        let library = try library()
        let functions = library.functions
        do {
            try FileManager.default.createDirectory(at: cache, withIntermediateDirectories: true)
        } catch {
            throw EngineError.failed("the folder for caches cannot be made: \(error.localizedDescription)")
        }
        // The judge saw pictures on the CPU alone, and the self-test asks nothing about any.
        let vision = pictures > 0 ? Backend.cpu.rawValue : nil
        guard let settings = functions.engine_settings_create(model.path, backend.rawValue, vision, nil) else {
            throw library.failure("the engine has no settings for this model and backend")
        }
        defer { functions.engine_settings_delete(settings) }
        functions.engine_settings_set_cache_dir(settings, cache.path)
        functions.engine_settings_enable_benchmark(settings)  // it measures; nothing else changes
        if threads > 0 { functions.engine_settings_set_num_threads(settings, CInt(clamping: threads)) }
        if context > 0 { functions.engine_settings_set_max_num_tokens(settings, CInt(clamping: context)) }
        if pictures > 0 { functions.engine_settings_set_max_num_images(settings, CInt(clamping: pictures)) }
        guard let engine = functions.engine_create(settings) else {
            throw library.failure("the engine does not load the model")
        }
        return (library, Handle(engine, delete: functions.engine_delete))
    }
}
