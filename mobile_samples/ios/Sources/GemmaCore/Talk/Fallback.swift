import Foundation

/// What became of one backend.
public struct Trial: Sendable {
    public let backend: Backend
    /// Nil where the self-test did not run.
    public let report: SelfTestReport?
    /// Why it was not taken; empty for the one that was.
    public let why: String
}

/// What was chosen; `trials` tell the whole story, in order.
public struct Choice: Sendable {
    /// Nil when no backend is right, and then nothing should be generated at all.
    public let engine: (any Engine)?
    public let trials: [Trial]

    /// Of the engine.
    public var verdict: Verdict {
        engine == nil ? .failed : trials.last?.report?.verdict ?? .notCompared
    }

    /// Every backend that was not taken and why, a line each; empty when the first one was right.
    public var reasons: String {
        trials.filter { !$0.why.isEmpty }.map { "\($0.backend.rawValue): \($0.why)" }.joined(separator: "\n")
    }
}

/// Takes the first backend that loads the model and passes the self-test: an accelerator may compute wrongly, refuse
/// the model, or take the app with it.
///
/// The last backend is also taken when no golden could be compared there: then `Choice.verdict` says so.
public struct Fallback: Sendable {
    private let factory: any EngineFactory
    private let selfTest: SelfTest
    private let mark: URL?

    /// - Parameter mark: a file that exists while a backend is tried. Found at the start, the app died of that backend,
    ///   and it is not tried again until `forget`. The last backend is tried all the same: there is no other.
    public init(_ factory: any EngineFactory, _ selfTest: SelfTest, mark: URL? = nil) {
        self.factory = factory
        self.selfTest = selfTest
        self.mark = mark
    }

    /// Tries one backend after the other. Cancelling the task ends it; the backend that was tried then did nothing.
    ///
    /// - Parameters:
    ///   - artifactSha256: of the model that the factory loads.
    ///   - progress: told after each golden; begins anew with each backend.
    /// - Throws: `Refused`: the goldens belong to another model, or a file of the bundle is not what it must be.
    ///   `CancellationError`.
    public func choose(
        artifactSha256: String, progress: @Sendable (_ done: Int, _ of: Int) -> Void = { _, _ in }
    ) async throws -> Choice {
        let died = fallen()
        var trials: [Trial] = []
        for backend in factory.backends {
            if died.contains(backend.rawValue), backend != factory.backends.last {
                trials.append(Trial(backend: backend, report: nil, why: "the app ended while it was tried before"))
                continue
            }
            remember(died.union([backend.rawValue]))
            defer { remember(died) }
            try Task.checkCancellation()
            let (engine, trial) = try await attempt(backend, artifactSha256, progress)
            trials.append(trial)
            if let engine { return Choice(engine: engine, trials: trials) }
        }
        return Choice(engine: nil, trials: trials)
    }

    /// Lets every backend be tried again.
    public func forget() {
        remember([])
    }

    private func attempt(
        _ backend: Backend, _ artifactSha256: String, _ progress: @Sendable (_ done: Int, _ of: Int) -> Void
    ) async throws -> ((any Engine)?, Trial) {
        let engine: any Engine
        do {
            engine = try await factory.open(backend)
        } catch let error as EngineError {
            return (nil, Trial(backend: backend, report: nil, why: "it does not load: \(error.message)"))
        }
        do {
            let report = try await selfTest.run(engine, artifactSha256: artifactSha256, progress: progress)
            try Task.checkCancellation()  // an answer that was cancelled looks like a wrong one
            let last = backend == factory.backends.last
            if report.verdict == .passed || (last && report.verdict == .notCompared) {
                return (engine, Trial(backend: backend, report: report, why: ""))
            }
            let wrong = report.verdict == .failed
            await engine.close()
            let why = wrong ? "it computes wrongly: \(report.summary)" : "nothing could be compared"
            return (nil, Trial(backend: backend, report: report, why: why))
        } catch {
            await engine.close()
            throw error
        }
    }

    private func fallen() -> Set<String> {
        guard let mark, let text = try? String(contentsOf: mark, encoding: .utf8) else { return [] }
        return Set(text.split(separator: "\n").map(String.init))
    }

    /// Without the mark, say on a full disk, a backend that ends the app is tried again: no reason to have no model.
    private func remember(_ names: Set<String>) {
        guard let mark else { return }
        if names.isEmpty {
            try? FileManager.default.removeItem(at: mark)
        } else {
            try? names.sorted().joined(separator: "\n").write(to: mark, atomically: true, encoding: .utf8)
        }
    }
}
