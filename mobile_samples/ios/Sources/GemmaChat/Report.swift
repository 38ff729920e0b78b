import GemmaCore

/// The self-test's outcome as a file for the desktop: what was tried on this device, in order, and what came of it.
public enum Report {
    public static let file = "self-test.json"

    static func json(_ device: String, _ manifest: Manifest, _ choice: Choice) -> Json {
        .object([
            "schema_version": .integer(1),
            "device": .text(name(device)),
            "model": .text(manifest.name),
            "artifact_sha256": .text(manifest.artifactSha256),
            "verdict": .text(choice.verdict.rawValue),
            "trials": .array(
                choice.trials.map {
                    .object([
                        "backend": .text($0.backend.rawValue), "why": .text($0.why),
                        "report": $0.report.map { $0.json() } ?? .null,
                    ])
                }),
        ])
    }

    /// For a test that could not run: `why` in the place of trials.
    static func failure(_ device: String, _ why: String) -> Json {
        .object([
            "schema_version": .integer(1), "device": .text(name(device)), "verdict": .text(Verdict.failed.rawValue),
            "why": .text(why), "trials": .array([]),
        ])
    }

    /// A name that the desktop takes: plain characters, 80 at most.
    static func name(_ device: String) -> String {
        let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_ .,()+-")
        let plain = String(device.map { allowed.contains($0) ? $0 : "-" }.prefix(80))
        return plain.isEmpty ? "-" : plain
    }
}
