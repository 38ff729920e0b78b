/// Sizes for people, in the decimal units that phones and stores use.
public enum Size {
    public static func of(_ bytes: Int64) -> String {
        switch bytes {
        case ..<1_000: return "\(bytes) B"
        case ..<1_000_000: return "\(bytes / 1_000) kB"
        case ..<1_000_000_000: return "\(bytes / 1_000_000) MB"
        default:
            let hundredths = bytes / 10_000_000
            let rest = hundredths % 100
            return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) GB"
        }
    }
}
