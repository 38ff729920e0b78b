import Foundation

/// How far logits were off, over all steps of all goldens.
final class Differences: @unchecked Sendable {
    // Guarded by the lock: the replay's callback may run anywhere.
    private let lock = NSLock()
    private var sum = 0.0, steps = 0, most = 0.0

    func add(_ difference: Double) {
        lock.withLock {
            sum += difference
            steps += 1
            most = difference.isNaN ? difference : max(most, difference)
        }
    }

    var mean: Double { lock.withLock { steps == 0 ? 0 : sum / Double(steps) } }
    var largest: Double { lock.withLock { most } }
}

/// What the steps of one golden showed.
private final class Looked: @unchecked Sendable {
    private let lock = NSLock()  // guards both
    private var first = ""
    private var chosen: [Int32] = []

    func add(_ token: Int32, _ wrong: String) {
        lock.withLock {
            chosen.append(token)
            if first.isEmpty { first = wrong }
        }
    }

    var why: String { lock.withLock { first } }
    var said: [Int32] { lock.withLock { chosen } }
}

extension SelfTest {
    /// Every step's five logits against the reference's, and the best token where it is certain.
    func byLogits(_ replay: any LogitsReplay, _ golden: Golden, _ differences: Differences) async throws -> SelfTestCase {
        let looked = Looked(), tolerance = tolerance
        do {
            try await replay.replay(ids: golden.ids, continuation: golden.continuation) { i, logits in
                let (difference, best, wrong) = try compare(golden, i, logits, tolerance)
                differences.add(difference)
                looked.add(best, wrong)
            }
        } catch let error as EngineError {
            return SelfTestCase(
                prompt: golden.prompt, expected: golden.text, said: "", verdict: .failed,
                why: "the engine gave up: \(error.message)")
        }
        let said = looked.said == golden.continuation ? golden.text : "tokens \(looked.said)"
        return SelfTestCase(
            prompt: golden.prompt, expected: golden.text, said: said, verdict: looked.why.isEmpty ? .passed : .failed,
            why: looked.why)
    }
}

private func compare(
    _ golden: Golden, _ i: Int, _ logits: [Float], _ tolerance: Double
) throws -> (difference: Double, best: Int32, wrong: String) {
    let step = golden.steps[i]
    var difference = 0.0
    for (token, logit) in zip(step.tokens, step.logits) {
        guard token >= 0, Int(token) < logits.count else {
            throw Refused("golden.json names token \(token), the model has \(logits.count)")
        }
        let each = abs(Double(logits[Int(token)]) - logit)
        difference = each.isNaN ? each : max(difference, each)
        if difference.isNaN { break }
    }
    let best = logits.withUnsafeBufferPointer { Sampler.best($0) } ?? -1
    if !(difference <= tolerance) {
        return (difference, best, "step \(i): a logit is off by \(difference); \(tolerance) is allowed")
    }
    if i < golden.certain, best != golden.continuation[i] {
        return (difference, best, "step \(i): token \(golden.continuation[i]) is right, \(best) was preferred")
    }
    return (difference, best, "")
}
