import Foundation
import GemmaCore

/// The bundle's files on this device.
///
/// The manifest comes with the app, so that nobody else says what is right. All other files lie in one folder: inside
/// the app or in a shared folder when they are whole there, else in the app's storage, where they are brought together.
public actor Store {
    public static let manifest = "manifest.json", golden = "golden.json"
    /// For people at a desk; the app does without them.
    static let reports: Set<String> = ["parity.json", "parity.html"]

    public nonisolated let manifest: Manifest
    /// What has to be there.
    public nonisolated let files: [BundleFile]
    private let places: [Place]
    private let storage: Place
    private let space: FreeSpace
    private var stamps: Stamps

    private init(_ phone: any Phone, _ space: FreeSpace) throws {
        let file = phone.packed.folder.appendingPathComponent(Store.manifest)
        guard let bytes = try? Data(contentsOf: file) else { throw Refused("\(Store.manifest) is not in the app") }
        let manifest = try Manifest(Array(bytes), platform: "ios")
        self.manifest = manifest
        files = manifest.files.values.filter { !Store.reports.contains($0.name) }.sorted { $0.name < $1.name }
        guard files.contains(where: { $0.name == Store.golden }) else {
            throw Refused("manifest.files have no \(Store.golden)")
        }
        places = [phone.packed] + phone.shared
        // A folder for each model: none of another one is ever beside it.
        let name = "bundle-\(manifest.artifactSha256.prefix(16))"
        storage = Place("storage", phone.storage.appendingPathComponent(name))
        self.space = space
        stamps = Stamps(phone.storage.appendingPathComponent("checked"))
    }

    /// Reads the manifest and deletes what another model left in the storage.
    ///
    /// - Throws: `Refused`: the app was packed wrongly.
    public static func open(_ phone: any Phone, space: FreeSpace = .ofDisk) async throws -> Store {
        let store = try Store(phone, space)
        await store.clean(phone.storage)
        return store
    }

    /// The folder with all files, each of them right; nil where there is none.
    ///
    /// Every file is read whole once, and again whenever its length or time changed: what is damaged is never loaded.
    /// What is wrong in the storage is deleted.
    public func ready(progress: ProgressHandler) throws -> URL? {
        for place in places + [storage] where files.allSatisfy({ lies($0, in: place) }) {
            if try check(place, progress) { return place.folder }
        }
        return nil
    }

    /// Files that no place has, going by their lengths.
    public func left() -> [BundleFile] {
        files.filter { file in !(places + [storage]).contains { lies(file, in: $0) } }
    }

    /// Fills the storage: with what the app and the shared folders have, and the rest by `fetch`.
    ///
    /// - Throws: `TransferError`; what came so far is kept.
    public func fill(
        progress: @escaping ProgressHandler,
        fetch: @Sendable (_ file: BundleFile, _ target: URL, _ progress: @escaping ProgressHandler) async throws -> Void
    ) async throws -> URL {
        let wanted = files.filter { !isRight($0, in: storage) }
        try checkSpace(wanted)
        let total = wanted.reduce(0) { $0 + $1.bytes }
        var before: Int64 = 0
        for file in wanted {
            let target = storage.folder.appendingPathComponent(file.name), begin = before
            let told: ProgressHandler = { phase, done, _ in
                // What is small is checked in a blink.
                if phase == .transfer || file.bytes > total / 20 { progress(phase, begin + done, total) }
            }
            if try await !gather(file, target, told) { try await fetch(file, target, told) }
            stamps.put(file, storage)
            before += file.bytes
        }
        return storage.folder
    }

    /// Whether one of the places had the file.
    private func gather(_ file: BundleFile, _ target: URL, _ progress: @escaping ProgressHandler) async throws -> Bool {
        for place in places where lies(file, in: place) {
            do {
                let source = place.folder.appendingPathComponent(file.name)
                try await ModelImport.copy(from: source, to: target, want: file, space: space, progress: progress)
                return true
            } catch let error as TransferError where error.trouble == .wrongFile {
                continue
            }
        }
        return false
    }

    private func lies(_ file: BundleFile, in place: Place) -> Bool {
        Stamps.look(place.folder.appendingPathComponent(file.name))?.bytes == file.bytes
    }

    private func isRight(_ file: BundleFile, in place: Place) -> Bool {
        lies(file, in: place) && stamps.has(file, place)
    }

    private func check(_ place: Place, _ progress: ProgressHandler) throws -> Bool {
        let unsure = files.filter { !stamps.has($0, place) }
        let total = unsure.reduce(0) { $0 + $1.bytes }
        var before: Int64 = 0, right = true
        for file in unsure {
            let url = place.folder.appendingPathComponent(file.name)
            let found = try? Digest.sha256(file: url) { done in
                try Task.checkCancellation()
                progress(.check, before + done, total)
            }
            try Task.checkCancellation()
            if found == file.sha256 {
                stamps.put(file, place)
            } else {
                right = false
                if place.name == storage.name { try? FileManager.default.removeItem(at: url) }
            }
            before += file.bytes
        }
        return right
    }

    /// Each file is looked at again when its turn comes; here the user learns at the beginning what all need.
    private func checkSpace(_ wanted: [BundleFile]) throws {
        try? FileManager.default.createDirectory(at: storage.folder, withIntermediateDirectories: true)
        let need = wanted.reduce(0) { $0 + $1.bytes } - received()
        let free = space.bytes(in: storage.folder)
        if need > free {
            let message = "\(Size.of(need)) of free storage are needed, \(Size.of(free)) are free."
            throw TransferError(trouble: .noSpace, message: message)
        }
    }

    /// Bytes of files that came in part.
    private func received() -> Int64 {
        let all = FileManager.default.enumerator(atPath: storage.folder.path)?.compactMap { $0 as? String } ?? []
        return all.filter { $0.hasSuffix(".part") }
            .reduce(0) { $0 + (Stamps.look(storage.folder.appendingPathComponent($1))?.bytes ?? 0) }
    }

    private func clean(_ root: URL) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []
        where name.hasPrefix("bundle-") && name != storage.folder.lastPathComponent {
            try? FileManager.default.removeItem(at: root.appendingPathComponent(name))
        }
    }
}
