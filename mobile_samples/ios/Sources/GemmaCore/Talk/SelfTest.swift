/// What a replay of goldens shows.
public enum Verdict: String, Sendable {
    case passed
    case failed
    case notCompared = "not compared"
}

/// One golden replayed; `why` explains a verdict other than passed.
public struct SelfTestCase: Sendable {
    public let prompt: String
    public let expected: String
    public let said: String
    public let verdict: Verdict
    public let why: String
}

/// All goldens replayed on one backend.
public struct SelfTestReport: Sendable {
    public let backend: Backend
    public let artifactSha256: String
    /// Whether logits were compared; text alone misses faults that change no certain token.
    public let sharp: Bool
    public let cases: [SelfTestCase]
    /// The largest difference of a logit, and the mean over all steps of each step's largest; nil for text.
    public let largest: Double?
    public let mean: Double?
    /// Why the whole failed although no case did; empty else.
    public let overall: String

    public func count(_ verdict: Verdict) -> Int { cases.filter { $0.verdict == verdict }.count }

    /// Failed when one failed; passed when one passed and none failed; otherwise not compared.
    public var verdict: Verdict {
        if !overall.isEmpty || count(.failed) > 0 { return .failed }
        return count(.passed) > 0 ? .passed : .notCompared
    }

    /// For people: counts, and the first thing that went wrong.
    public var summary: String {
        let counts =
            "\(count(.passed)) passed, \(count(.failed)) failed, \(count(.notCompared)) not compared"
            + (sharp ? ", by logits" : ", by text alone: small faults of the arithmetic are not seen")
        if let first = cases.first(where: { $0.verdict == .failed }) { return "\(counts). First: \(first.why)" }
        return overall.isEmpty ? counts : "\(counts). \(overall)"
    }

    /// JSON has no word for what is no number.
    private static func number(_ value: Double?) -> Json {
        guard let value, value.isFinite else { return .null }
        return .number(value)
    }

    /// For a report on the desktop.
    public func json() -> Json {
        .object([
            "artifact_sha256": .text(artifactSha256),
            "backend": .text(backend.rawValue),
            "verdict": .text(verdict.rawValue),
            "compared": .text(sharp ? "logits" : "text"),
            "largest": SelfTestReport.number(largest),
            "mean": SelfTestReport.number(mean),
            "why": .text(overall),
            "cases": .array(cases.map {
                .object([
                    "prompt": .text($0.prompt), "expected": .text($0.expected), "said": .text($0.said),
                    "verdict": .text($0.verdict.rawValue), "why": .text($0.why),
                ])
            }),
        ])
    }
}

/// Replays `golden.json` in an engine by the rules of `GOLDEN.md`: by logits where the engine gives them, else by text.
public struct SelfTest: Sendable {
    private let file: GoldenFile

    public init(_ file: GoldenFile) {
        self.file = file
    }

    var tolerance: Double { file.tolerance }
    var stopTokens: Set<Int32> { file.stopTokens }

    /// - Parameters:
    ///   - artifactSha256: of the model that the engine has loaded.
    ///   - progress: told after each golden.
    /// - Throws: `Refused`: the goldens belong to another model. `CancellationError`.
    public func run(
        _ engine: any Engine, artifactSha256: String, progress: @Sendable (_ done: Int, _ of: Int) -> Void = { _, _ in }
    ) async throws -> SelfTestReport {
        guard artifactSha256 == file.artifactSha256 else {
            throw Refused("golden.json belongs to another model: \(file.artifactSha256), not \(artifactSha256)")
        }
        var cases: [SelfTestCase] = []
        let differences = Differences()
        for (i, golden) in file.goldens.enumerated() {
            try Task.checkCancellation()
            switch engine.replay {
            case .logits(let replay): cases.append(try await byLogits(replay, golden, differences))
            case .text(let replay): cases.append(try await byText(engine, replay, golden))
            }
            progress(i + 1, file.goldens.count)
        }
        guard case .logits = engine.replay else {
            return SelfTestReport(
                backend: engine.backend, artifactSha256: artifactSha256, sharp: false, cases: cases, largest: nil,
                mean: nil, overall: "")
        }
        let mean = differences.mean
        let off = !(mean <= file.meanTolerance)  // also where it is no number
        return SelfTestReport(
            backend: engine.backend, artifactSha256: artifactSha256, sharp: true, cases: cases,
            largest: differences.largest, mean: mean,
            overall: off ? "Logits are off by \(mean) on average; \(file.meanTolerance) is allowed" : "")
    }
}
