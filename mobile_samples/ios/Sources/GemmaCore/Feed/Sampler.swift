#if canImport(FoundationEssentials) && !canImport(Darwin)
import FoundationEssentials
import Glibc
#else
import Foundation
#endif

/// Draws a token from logits: greedy, or among the best by top-k and top-p with a seed.
///
/// The same logits and seed give the same tokens everywhere: numbers come from SplitMix64 (Steele, Lea and Flood, 2014),
/// sums run from the best token on, in double.
public struct Sampler: Sendable {
    private let sampling: Sampling
    private let suppressed: Set<Int32>
    private var state: UInt64

    /// - Parameter suppressed: ids that are never drawn.
    public init(_ sampling: Sampling, suppressed: [Int32] = []) {
        self.sampling = sampling
        self.suppressed = Set(suppressed)
        state = sampling.seed
    }

    /// The best token: the first of the largest logits. NaN is never the best.
    public static func best(_ logits: UnsafeBufferPointer<Float>, except suppressed: Set<Int32> = []) -> Int32? {
        var best: Int32?, largest = -Float.infinity
        for (i, logit) in logits.enumerated() where logit > largest || (best == nil && logit == largest) {
            if suppressed.contains(Int32(i)) { continue }
            best = Int32(i)
            largest = logit
        }
        return best
    }

    /// - Returns: a token; nil where no logit is a number.
    public mutating func draw(_ logits: UnsafeBufferPointer<Float>) -> Int32? {
        if sampling.topK <= 1 { return Sampler.best(logits, except: suppressed) }
        let kept = candidates(logits)
        guard let first = kept.first else { return nil }
        // Softmax over the candidates, the largest first: its exponent is 0.
        let weights = kept.map { exp((Double($0.logit) - Double(first.logit)) / sampling.temperature) }
        let all = weights.reduce(0, +)
        var mass = 0.0, count = 0
        while count < weights.count {
            mass += weights[count]
            count += 1
            if mass >= sampling.topP * all { break }
        }
        let target = uniform() * mass
        var sum = 0.0
        for i in 0..<count {
            sum += weights[i]
            if target < sum { return kept[i].token }
        }
        return kept[count - 1].token
    }

    private struct Candidate {
        let token: Int32
        let logit: Float
    }

    /// The `topK` largest, the largest first, the lower id first of equal ones.
    private func candidates(_ logits: UnsafeBufferPointer<Float>) -> [Candidate] {
        func before(_ a: Candidate, _ b: Candidate) -> Bool {
            a.logit != b.logit ? a.logit > b.logit : a.token < b.token
        }
        var all: [Candidate] = []
        var bar = -Float.infinity
        for (i, logit) in logits.enumerated() where logit >= bar && logit > -.infinity {
            if suppressed.contains(Int32(i)) { continue }
            all.append(Candidate(token: Int32(i), logit: logit))
            // Now and then only the best are kept, so that a large vocabulary is not sorted as a whole.
            if all.count >= 2 * sampling.topK + 1024 {
                all.sort(by: before)
                all.removeSubrange(sampling.topK...)
                bar = all[sampling.topK - 1].logit
            }
        }
        all.sort(by: before)
        return Array(all.prefix(sampling.topK))
    }

    /// In [0, 1), 53 bits.
    private mutating func uniform() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        z ^= z >> 31
        return Double(z >> 11) * 0x1p-53
    }
}
