import Foundation
import GemmaCore

/// From nothing to a chat.
extension Presenter {
    func open(careful: Bool) async throws {
        busy(.looking)
        forgetReport()
        let here: Store
        do {
            here = if let store { store } else { try await Store.open(phone, space: bringer.space) }
        } catch let error as Refused {
            return fail(.bundle, error.message, [.retry])
        }
        store = here
        update { $0.about = About(here.manifest) }
        let folder = try await watched(show: { self.busy($0.work, $0.done, $0.total) }) { tell in
            try await here.ready { _, done, total in tell(Step(work: .checking, done: done, total: total)) }
        }
        guard let folder else { return await missing(here) }
        try await load(here, folder, careful: careful)
    }

    /// Says what is not here.
    func missing(_ here: Store) async {
        report(Report.failure(phone.name, "the model is not on this device"))
        let bytes = await here.left().reduce(0) { $0 + $1.bytes }
        card(.missing(bytes: bytes, actions: bringer.sources))
    }

    /// Gets what is not here, then loads the model.
    func bring(_ task: Work, _ fetch: @escaping Bringer.Fetch) async throws {
        guard let here = store else { return try await open(careful: true) }
        busy(task)
        let folder: URL
        do {
            folder = try await watched(show: { self.busy($0.work, $0.done, $0.total) }) { tell in
                try await here.fill(
                    progress: { phase, done, total in
                        tell(Step(work: phase == .check ? .checking : task, done: done, total: total))
                    }, fetch: fetch)
            }
        } catch let error as TransferError {
            if error.trouble == .cancelled { return await missing(here) }
            return fail(named(error.trouble), error.message, bringer.sources)
        }
        try await load(here, folder, careful: true)
    }

    private func named(_ trouble: Trouble) -> Problem {
        switch trouble {
        case .noSpace, .storage: return .space
        case .network, .server, .cancelled: return .network
        case .wrongFile: return .file
        }
    }

    private func load(_ here: Store, _ folder: URL, careful: Bool) async throws {
        await release()
        forgetPictures()
        let manifest = here.manifest, (total, available) = phone.memory()
        let memory = MemoryCheck.check(manifest.memory, total: total, available: available)
        if careful, memory.verdict != .enough { return fail(.memory, memory.message, [.retry, .goOn]) }
        busy(.loading)
        let makeFactory = makeFactory, mark = mark
        let choice: Choice
        do {
            choice = try await watched(show: { self.busy($0.work, $0.done, $0.total) }) { tell in
                let golden = try GoldenFile(Array(Data(contentsOf: folder.appendingPathComponent(Store.golden))))
                let fallback = Fallback(try makeFactory(manifest, folder), SelfTest(golden), mark: mark)
                return try await fallback.choose(artifactSha256: manifest.artifactSha256) { done, of in
                    tell(Step(work: .testing, done: Int64(done), total: Int64(of)))
                }
            }
        } catch let error as Refused {
            return fail(.bundle, error.message, [.retry])
        }
        report(Report.json(phone.name, manifest, choice))
        guard let ready = choice.engine else {
            let ran = choice.trials.contains { $0.report != nil }
            return card(.failed(Failure(ran ? .selfTest : .engine, choice.reasons, [.retry])))
        }
        engine = ready
        // One answer takes half of the context at most: a model that does not stop leaves room to go on.
        chat = Conversation(ready, settings: SessionSettings(maxTokens: manifest.contextTokens / 2))
        update {
            $0.card = nil
            $0.failure = nil
            $0.messages = []
            $0.result = result(choice, ready)
            $0.pictures = ready.takesPictures
            if !ready.takesPictures { $0.picture = nil }
        }
    }

    private func result(_ choice: Choice, _ ready: any Engine) -> TestResult {
        let report = choice.trials.last?.report
        return TestResult(
            backend: ready.backend, compared: report?.count(.passed) ?? 0, sharp: report?.sharp ?? false,
            left: choice.trials.filter { !$0.why.isEmpty }.map { TestResult.Left($0.backend, $0.why) })
    }
}
