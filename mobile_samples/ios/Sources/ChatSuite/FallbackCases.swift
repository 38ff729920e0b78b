import Foundation
import GemmaCore

@MainActor
func fallbackCases(_ suite: Suite) async {
    let all: [Backend] = [.neuralEngine, .gpu, .cpu]

    await suite.run("first right backend is taken and the others are told") { work in
        let double = Knowing(try Made.goldens(), all, [.failing(.neuralEngine), .wrong(.gpu)])
        let choice = try await Fallback(double, SelfTest(double.golden)).choose(artifactSha256: Made.artifact)
        try same(choice.engine?.backend, .cpu)
        try same(choice.verdict, .passed)
        try same(double.seen.opened, all)
        try same(double.seen.closed, [.gpu])
        let reasons = choice.reasons.split(separator: "\n")
        try same(reasons.first, "ane: it does not load: no such device")
        try holds(reasons.last?.hasPrefix("gpu: it computes wrongly: 0 passed, 1 failed") == true, choice.reasons)
    }
    await suite.run("mark stands while a backend is tried and goes with it") { work in
        let mark = work.appendingPathComponent("trying")
        let read: @Sendable () -> String? = { try? String(contentsOf: mark, encoding: .utf8) }
        let found = Found()
        let double = Knowing(try Made.goldens(), all, [.wrong(.neuralEngine)]) { _ in found.add(read() ?? "none") }
        let fallback = Fallback(double, SelfTest(double.golden), mark: mark)
        let choice = try await fallback.choose(artifactSha256: Made.artifact)
        try same(choice.engine?.backend, .gpu)
        try same(found.all, ["ane", "gpu"])
        try same(read(), nil)
    }
    await suite.run("backend that ended the app is not tried again but the last one is") { work in
        let mark = work.appendingPathComponent("trying")
        try "ane\ncpu".write(to: mark, atomically: true, encoding: .utf8)
        let double = Knowing(try Made.goldens(), all, [.wrong(.gpu)])
        let fallback = Fallback(double, SelfTest(double.golden), mark: mark)
        let choice = try await fallback.choose(artifactSha256: Made.artifact)
        try same(double.seen.opened, [.gpu, .cpu])
        try same(choice.trials.first?.why, "the app ended while it was tried before")
        try same(try String(contentsOf: mark, encoding: .utf8), "ane\ncpu")
        fallback.forget()
        _ = try await fallback.choose(artifactSha256: Made.artifact)
        try same(double.seen.opened, [.gpu, .cpu, .neuralEngine])
    }
    await suite.run("cancelled choice blames no backend and closes it") { work in
        let mark = work.appendingPathComponent("trying")
        let double = Knowing(try Made.goldens(), all, [.slow])
        let fallback = Fallback(double, SelfTest(double.golden), mark: mark)
        let task = Task { try await fallback.choose(artifactSha256: Made.artifact) }
        try await soon("a try") { !double.seen.opened.isEmpty }
        task.cancel()
        try holds(try await thrown { _ = try await task.value } is CancellationError)
        try holds(!FileManager.default.fileExists(atPath: mark.path))
        double.set(.slow, false)
        // Cancelled in the middle of the test: its empty answer must not look like a wrong one.
        let late = Task {
            try await fallback.choose(artifactSha256: Made.artifact) { _, _ in withUnsafeCurrentTask { $0?.cancel() } }
        }
        try holds(try await thrown { _ = try await late.value } is CancellationError)
        try same(double.seen.closed, [.neuralEngine])
        try holds(!FileManager.default.fileExists(atPath: mark.path))
    }
    await suite.run("goldens of another model are refused") { work in
        let mark = work.appendingPathComponent("trying")
        let double = Knowing(try Made.goldens())
        let fallback = Fallback(double, SelfTest(double.golden), mark: mark)
        let other = String(repeating: "b", count: 64)
        let error = try await thrown { _ = try await fallback.choose(artifactSha256: other) }
        try holds(error is Refused, "\(error)")
        try same(double.seen.closed, [.cpu])
        try holds(!FileManager.default.fileExists(atPath: mark.path))
    }
    await suite.run("where nothing can be compared only the last backend is taken") { _ in
        let double = Knowing(try Made.goldens(certain: 0), all)
        let choice = try await Fallback(double, SelfTest(double.golden)).choose(artifactSha256: Made.artifact)
        try same(choice.engine?.backend, .cpu)
        try same(choice.verdict, .notCompared)
        try same(choice.reasons, "ane: nothing could be compared\ngpu: nothing could be compared")
    }
    await suite.run("no right backend means no engine") { _ in
        let double = Knowing(try Made.goldens(), all, [.wrong(.neuralEngine), .wrong(.gpu), .wrong(.cpu)])
        let choice = try await Fallback(double, SelfTest(double.golden)).choose(artifactSha256: Made.artifact)
        try holds(choice.engine == nil)
        try same(choice.verdict, .failed)
        try same(double.seen.closed, all)
    }
}

/// Texts that were found, in order.
private final class Found: @unchecked Sendable {
    private let lock = NSLock()
    private var texts: [String] = []

    var all: [String] { lock.withLock { texts } }
    func add(_ text: String) { lock.withLock { texts.append(text) } }
}
