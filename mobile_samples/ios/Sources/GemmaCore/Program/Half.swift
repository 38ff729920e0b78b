/// IEEE 754 binary16 as bits: Swift's own `Float16` does not exist on every Mac.
public enum Half {
    /// Rounded to nearest, ties to even; beyond the largest, infinity.
    public static func bits(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        let sign = UInt16(bits >> 16) & 0x8000
        let magnitude = bits & 0x7FFF_FFFF
        if magnitude > 0x7F80_0000 { return sign | 0x7E00 }  // not a number
        if magnitude >= 0x477F_F000 { return sign | 0x7C00 }  // 65520 and more
        if magnitude < 0x3880_0000 {  // below the smallest normal: a multiple of 2^-24
            let scaled = Float(bitPattern: magnitude) * 0x1p24
            return sign | UInt16(scaled.rounded(.toNearestOrEven))
        }
        let rounded = magnitude + 0xFFF + ((magnitude >> 13) & 1)
        return sign | UInt16((rounded - 0x3800_0000) >> 13)
    }

    /// Exact.
    public static func value(_ bits: UInt16) -> Float {
        let sign: Float = bits & 0x8000 == 0 ? 1 : -1
        let exponent = Int(bits >> 10) & 31, fraction = Float(bits & 0x3FF)
        if exponent == 31 { return fraction == 0 ? sign * .infinity : .nan }
        if exponent == 0 { return sign * fraction * 0x1p-24 }
        return sign * (1024 + fraction) * Float(sign: .plus, exponent: exponent - 25, significand: 1)
    }
}
