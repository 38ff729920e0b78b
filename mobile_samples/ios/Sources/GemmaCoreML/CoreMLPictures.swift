#if canImport(CoreML)
import CoreML
import Foundation
import GemmaCore

/// The package of a bundle that reads pictures, in Core ML: compiled and loaded when the first one comes. Of its
/// functions, which differ in the size of a picture, the last one stays.
actor CoreMLPictures: PictureProgram {
    private let folder: URL
    private let place: URL
    private let units: MLComputeUnits
    private var loaded: (name: String, function: CoreMLFunction)?

    /// - Parameter place: of the compiled models.
    init(folder: URL, place: URL, units: MLComputeUnits) {
        self.folder = folder
        self.place = place
        self.units = units
    }

    func see(model: String, function: String, inputs: [Tensor]) async throws -> [String: Tensor] {
        let found = try await asEngine { try await load(model, function) }
        return try await asEngine { try await found.predict(inputs, nil) }
    }

    func rest() async {
        loaded = nil
    }

    private func load(_ model: String, _ function: String) async throws -> CoreMLFunction {
        let name = model + "/" + function
        if let loaded, loaded.name == name { return loaded.function }
        loaded = nil  // never two of them
        let url = try await CoreMLPackage.compile(model, folder: folder, place: place)
        let made = try await CoreMLFunction(url, function, units)
        loaded = (name, made)
        return made
    }
}
#endif
