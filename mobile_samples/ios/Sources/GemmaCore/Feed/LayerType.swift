#if canImport(FoundationEssentials) && !canImport(Darwin)
import FoundationEssentials
import Glibc
#else
import Foundation
#endif

/// How the layers of one type look back, and how their heads are turned.
public struct LayerType: Equatable, Sendable {
    public let rotary: Rotary
    /// Positions that a token looks back, itself included; nil: all.
    public let window: Int?
    /// Where their keys and values are kept; nil: in a row for each position.
    public let ring: Ring?

    public init(_ fields: Fields) throws {
        try fields.only("rotary", "window", "ring")
        rotary = try Rotary(fields.child("rotary"))
        window = try fields.countOrNil("window")
        if window == 0 { throw fields.refused("window", "is 0") }
        ring = try fields.childOrNil("ring").map(Ring.init)
        if let ring, ring.rows < window ?? .max { throw fields.refused("ring", "is shorter than the window") }
    }
}

/// Rotary position embedding: the rows that a call takes, as `MANIFEST.md` says, rounded step by step.
public struct Rotary: Equatable, Sendable {
    public let theta: Double
    public let headDim: Int
    /// Pairs that turn; the others have cosine 1 and sine 0.
    public let turning: Int
    /// float32, of each turning pair.
    let frequencies: [Float]

    init(_ fields: Fields) throws {
        try fields.only("theta", "kind", "partial_factor", "head_dim", "turning", "layout")
        // Both kinds are the same rows: `turning` says how many pairs turn, the exponents spread over the whole head.
        _ = try fields.word("kind", "default", "proportional")
        _ = try fields.word("layout", "halves")
        theta = try fields.number("theta")
        headDim = try fields.count("head_dim")
        turning = try fields.count("turning")
        guard theta > 1 else { throw fields.refused("theta", "is \(theta)") }
        guard headDim > 0, headDim % 2 == 0, headDim <= 1 << 16 else { throw fields.refused("head_dim", "is \(headDim)") }
        guard turning <= headDim / 2 else { throw fields.refused("turning", "is \(turning) of \(headDim / 2) pairs") }
        frequencies = Rotary.frequencies(theta: theta, headDim: headDim, turning: turning)
    }

    private static func frequencies(theta: Double, headDim: Int, turning: Int) -> [Float] {
        (0..<turning).map { pair in
            let exponent = Float(2 * pair) / Float(headDim)
            return 1 / Float(pow(theta, Double(exponent)))
        }
    }

    /// Writes cosines and sines of a position, `headDim` of each: columns i and i + headDim / 2 belong to pair i.
    ///
    /// The angle is the float32 product that the model was judged with; one in double is off by 0.001 at position 10,000.
    public func write(position: Int, cosines: UnsafeMutablePointer<Float>, sines: UnsafeMutablePointer<Float>) {
        let half = headDim / 2
        for pair in 0..<half {
            var cosine: Float = 1, sine: Float = 0
            if pair < turning {
                let angle = Double(Float(position) * frequencies[pair])
                cosine = Float(cos(angle))
                sine = Float(sin(angle))
            }
            cosines[pair] = cosine
            cosines[pair + half] = cosine
            sines[pair] = sine
            sines[pair + half] = sine
        }
    }
}
