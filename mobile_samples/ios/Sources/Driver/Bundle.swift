import Foundation
import GemmaCore

func bytes(_ path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

let bundleCommands: [String: Command] = [
    "json": { .object(["value": try Json.parse(bytes(try $0.text("file")))]) },
    "manifest": { asked in
        let manifest = try Manifest(bytes(try asked.text("file")), platform: try asked.text("platform"))
        return .object([
            "name": .text(manifest.name), "model": .text(manifest.model), "context": .integer(Int64(manifest.contextTokens)),
            "stops": .array(manifest.feeding.stops.map { .integer(Int64($0.id)) }),
            "start": .integer(Int64(manifest.feeding.start.id)), "runtime": .text(manifest.runtime),
            "kv_cache": .integer(manifest.memory.kvCache), "sha256": .text(manifest.artifactSha256),
            "parts": .array((manifest.feeding.calls?.parts ?? []).map { .text($0.model) }),
            "files": .integer(Int64(manifest.files.count)), "packed_weights": .integer(manifest.packedWeights),
            "drafter": .flag(manifest.drafter),
        ])
    },
    "golden": { asked in
        let file = try GoldenFile(bytes(try asked.text("file")))
        return .object([
            "sha256": .text(file.artifactSha256), "tolerance": .number(file.tolerance),
            "mean_tolerance": .number(file.meanTolerance),
            "texts": .array(file.goldens.map { .text($0.text) }),
            "certain": .array(file.goldens.map { .integer(Int64($0.certain)) }),
        ])
    },
]
