/// Whether a model goes into the memory of a device.
public enum MemoryVerdict: String, Sendable {
    case enough, tight, tooSmall
}

/// What a comparison came to.
public struct MemoryResult: Equatable, Sendable {
    public let verdict: MemoryVerdict
    /// Bytes that have to be resident while a token is made.
    public let need: Int64
    /// For people; empty when there is enough.
    public let message: String
}

/// Compares a manifest's numbers with the device before anything is loaded: a process that takes too much is killed
/// without a trace.
///
/// Weights, KV cache and what reads a picture must be resident; of the embeddings a token touches a few pages. `working` is for the engine's
/// own buffers and the app, `share` of the RAM what one app gets on an otherwise empty phone. Both are judgements.
public enum MemoryCheck {
    public static let working: Int64 = 300 * 1024 * 1024
    public static let share = 0.6

    /// - Parameters:
    ///   - total: the device's RAM, bytes.
    ///   - available: what this app may still take, bytes: `os_proc_available_memory()` on iOS, which says more where
    ///     the app has the entitlement for more.
    public static func check(_ need: MemoryNeed, total: Int64, available: Int64) -> MemoryResult {
        let bytes = plus(plus(plus(need.mappedWeights, need.kvCache), need.pictures), working)
        let allowed = Int64(Double(total) * share)
        if bytes > allowed {
            let message =
                "The model needs \(Size.of(bytes)) of memory; of this device's \(Size.of(total)) an app gets about "
                + "\(Size.of(allowed))."
            return MemoryResult(verdict: .tooSmall, need: bytes, message: message)
        }
        if bytes > available {
            let message =
                "The model needs \(Size.of(bytes)) of memory and this app may take \(Size.of(available)) now: "
                + "the system may end it."
            return MemoryResult(verdict: .tight, need: bytes, message: message)
        }
        return MemoryResult(verdict: .enough, need: bytes, message: "")
    }

    /// Whether what reads pictures may stay in memory until the next one comes.
    ///
    /// - Parameters:
    ///   - pictures: bytes that it takes.
    ///   - available: what this app may still take, beside it.
    static func keeps(_ pictures: Int64, available: Int64) -> Bool {
        available >= plus(pictures, working)
    }

    /// A sum that stops at the largest number.
    static func plus(_ a: Int64, _ b: Int64) -> Int64 {
        let (sum, over) = a.addingReportingOverflow(b)
        return over ? Int64.max : sum
    }
}
