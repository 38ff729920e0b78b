import Foundation
internal import CLiteRTLM
import GemmaCore

/// LiteRT-LM's C library, loaded. It stays loaded until the process ends: the engine's threads run in it.
///
/// `@unchecked Sendable`: the table of functions is never changed or freed after `init`, and the functions themselves
/// may be called by any thread; what they are given is guarded by `Handle`.
public final class LiteRTLibrary: @unchecked Sendable {
    private let table: UnsafePointer<LiteRTFunctions>

    /// - Parameter path: of the shared library: `liblitert-lm.so`, or on iOS the binary of a framework inside the app.
    /// - Throws: `EngineError`: it cannot be loaded, or is of another version.
    public convenience init(path: String) throws {
        try self.init(name: path, path: path)
    }

    /// The library that the program itself is linked with, as an app is with a framework.
    ///
    /// - Throws: `EngineError`: it is not.
    public static func linked() throws -> LiteRTLibrary {
        try LiteRTLibrary(name: "this program", path: nil)
    }

    private init(name: String, path: String?) throws {
        guard let library = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
            let why = dlerror().map { String(cString: $0) } ?? "no reason is given"
            throw EngineError.failed("LiteRT-LM cannot be loaded: \(why)")
        }
        var missing: UnsafePointer<CChar>?
        guard let table = litert_functions(library, &missing) else {
            dlclose(library)
            let what = missing.map { String(cString: $0) } ?? ""
            throw EngineError.failed("\(name) has no \(what): another version of LiteRT-LM?")
        }
        self.table = table
        functions.set_min_log_level(CInt(LITERT_LOG_SILENT))
    }

    var functions: LiteRTFunctions { table.pointee }

    /// What failed, and what the engine said of it. On the thread whose call failed, and before its next call.
    func failure(_ what: String) -> EngineError {
        let said = functions.get_last_error_message().map { String(cString: $0) } ?? ""
        return .failed(said.isEmpty ? what : "\(what): \(said)")
    }
}
