/// What a model needs of the device, in bytes.
public struct MemoryNeed: Equatable, Sendable {
    /// Every token reads them, so they must stay in memory.
    public let mappedWeights: Int64
    /// A token touches a few pages only.
    public let mappedEmbeddings: Int64
    /// At full context.
    public let kvCache: Int64
    /// Weights that read a picture, and what reading one takes beside them; 0 where the model takes none.
    public let pictures: Int64

    public init(mappedWeights: Int64, mappedEmbeddings: Int64, kvCache: Int64, pictures: Int64 = 0) {
        self.mappedWeights = mappedWeights
        self.mappedEmbeddings = mappedEmbeddings
        self.kvCache = kvCache
        self.pictures = pictures
    }
}

/// One rung of the parity ladder; `verdict` is `pass` or `not run: <why>`.
public struct Rung: Equatable, Sendable {
    public let name: String
    public let question: String
    public let verdict: String
}

/// A bundle's `manifest.json`, as far as an app needs it: `MANIFEST.md`.
///
/// The reader is strict: a member that it does not know is refused, because it may be one that changes how the model is
/// to be fed.
public struct Manifest: Sendable {
    /// The bundle's name, for people.
    public let name: String
    /// `ios` or `android`.
    public let platform: String
    /// File or folder of the model; of a package in parts the first.
    public let model: String
    /// Every file of the bundle but the manifest, by relative path.
    public let files: [String: BundleFile]
    public let signatures: [Signature]
    /// Positions of the KV cache.
    public let contextTokens: Int
    public let feeding: Feeding
    public let memory: MemoryNeed
    /// The runtime that judged the bundle, and the oldest of it, or of the system, that can run the model.
    public let runtime: String
    public let minimumRuntime: String
    /// Bytes that the runtime writes when it first loads the model on the CPU; 0: none, or the bundle does not say it.
    public let packedWeights: Int64
    /// Whether the model file holds a drafter.
    public let drafter: Bool
    /// What was judged: see `MANIFEST.md`, "Digest of a package".
    public let artifactSha256: String
    public let rungs: [Rung]
    public let licence: String
    public let source: String

    static let maxContext = 1 << 24
    private static let maxFiles = 10_000

    private static func pictures(_ memory: Fields) throws -> Int64 {
        guard memory.has("images") else { return 0 }
        let images = try memory.child("images")
        try images.only("mapped_weights", "working")
        return MemoryCheck.plus(Int64(try images.count("mapped_weights")), Int64(try images.countOrNil("working") ?? 0))
    }

    /// Reads a manifest and checks it against its own SHA-256.
    ///
    /// - Parameter platform: the one that this app is for.
    /// - Throws: `Refused`: not a manifest of version 1 for the platform, damaged, or with something that this reader
    ///   does not know.
    public init(_ bytes: [UInt8], platform wanted: String) throws {
        let root = try Fields(Json.parse(bytes), "manifest")
        let version = try root.integer("schema_version")
        guard version == 1 else { throw Refused("manifest.schema_version is \(version); this app reads 1") }
        platform = try root.text("platform")
        guard platform == wanted else { throw Refused("manifest.platform is \(platform); this app reads \(wanted)") }
        try Manifest.checkSelf(bytes, root.sha256("self_sha256"))
        try root.only(
            "schema_version", "name", "platform", "model", "modalities", "source", "quantization", "signatures",
            "kv_cache", "feeding", "files", "toolchain", "runtime", "memory", "parity", "licence", "drafter", "apk", "self_sha256")
        name = try root.text("name")
        files = try Manifest.files(root.child("files"))
        signatures = try root.children("signatures").map(Signature.init)
        contextTokens = try root.child("kv_cache").count("context")
        guard (1...Manifest.maxContext).contains(contextTokens) else {
            throw Refused("manifest.kv_cache.context is \(contextTokens)")
        }
        feeding = try Feeding(root.child("feeding"))
        let memory = try root.child("memory")
        try memory.only("mapped_weights", "mapped_embeddings", "kv_cache", "images")
        self.memory = MemoryNeed(
            mappedWeights: Int64(try memory.count("mapped_weights")),
            mappedEmbeddings: Int64(try memory.count("mapped_embeddings")), kvCache: Int64(try memory.count("kv_cache")),
            pictures: try Manifest.pictures(memory))
        let runtime = try root.child("runtime")
        self.runtime = try runtime.text("name")
        minimumRuntime = try runtime.text("minimum")
        packedWeights = Int64(try runtime.countOrNil("packed_weights") ?? 0)
        drafter = try root.childOrNil("drafter") != nil
        let parity = try root.child("parity")
        artifactSha256 = try parity.sha256("artifact_sha256")
        rungs = try parity.children("rungs").map {
            Rung(name: try $0.text("rung"), question: try $0.text("question"), verdict: try $0.text("verdict"))
        }
        licence = try root.child("licence").text("spdx")
        source = try root.child("source").text("id")
        model = try root.text("model")
        try checkModel()
        try feeding.calls?.check(signatures: signatures, files: files, context: contextTokens)
    }

    /// Files of the model: one, or those of all packages, with those that read pictures.
    public var modelFiles: [BundleFile] {
        let seeing = feeding.images?.cutting?.lengths.map(\.model) ?? []
        let folders = (feeding.calls?.parts.map(\.model) ?? [model]) + seeing
        return files.values
            .filter { file in folders.contains { file.name == $0 || file.name.hasPrefix($0 + "/") } }
            .sorted { $0.name < $1.name }
    }

    /// What `artifactSha256` has to be, of the digests in `files`.
    private func digest() -> String {
        if let file = files[model] { return file.sha256 }
        // By relative path as the judge sorts it: that of further packages begins with "../".
        let lines = modelFiles.map { file -> (String, String) in
            let path = file.name.hasPrefix(model + "/") ? String(file.name.dropFirst(model.count + 1)) : "../" + file.name
            return (path, file.sha256)
        }
        let sorted = lines.sorted { Array($0.0.utf8).lexicographicallyPrecedes(Array($1.0.utf8)) }
        return Digest.sha256(of: Array(sorted.map { "\($0.1)  \($0.0)\n" }.joined().utf8))
    }

    private func checkModel() throws {
        guard !model.contains("/"), !modelFiles.isEmpty else {
            throw Refused("manifest.model \(Json.quoted(model)) is not one of manifest.files")
        }
        guard digest() == artifactSha256 else { throw Refused("manifest.parity judges another model than \(model)") }
    }

    private static func files(_ listed: Fields) throws -> [String: BundleFile] {
        guard listed.keys.count <= maxFiles else { throw Refused("manifest.files are \(listed.keys.count)") }
        var files: [String: BundleFile] = [:]
        for path in listed.keys {
            // A name becomes a path on the device: it must stay inside the folder.
            guard path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy(isName) else {
                throw Refused("manifest.files: \(Json.quoted(path)) is no file name that is allowed")
            }
            let file = try listed.child(path)
            try file.only("bytes", "sha256")
            files[path] = BundleFile(name: path, bytes: Int64(try file.count("bytes")), sha256: try file.sha256("sha256"))
        }
        return files
    }

    static func isName(_ part: Substring) -> Bool {
        guard let first = part.utf8.first, part.utf8.count <= 128, first != UInt8(ascii: "."), first != UInt8(ascii: "-")
        else { return false }
        return part.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: return true
            default: return byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
            }
        }
    }

    /// `self_sha256` is of the file with these 64 digits as zeros.
    private static func checkSelf(_ bytes: [UInt8], _ said: String) throws {
        let mark = Array("\"self_sha256\": \"\(said)\"".utf8)
        guard let at = bytes.firstRange(of: mark)?.lowerBound else {
            throw Refused("manifest.self_sha256 does not stand in the text as it was read")
        }
        var zeroed = bytes
        let digits = at + mark.count - 65
        for i in digits..<(digits + 64) { zeroed[i] = UInt8(ascii: "0") }
        guard Digest.sha256(of: zeroed) == said else {
            throw Refused("manifest.json is damaged: it has another SHA-256 than it says")
        }
    }
}
