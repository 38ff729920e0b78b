import Foundation

/// Arithmetic as Python has it, within 64 bits: what does not fit is refused.
enum Numbers {
    static func double(_ value: Value) -> Double? {
        if let whole = value.whole { return Double(whole) }
        if case .number(let value) = value { return value }
        return nil
    }

    static func calculate(_ kind: Arithmetic, _ left: Value, _ right: Value) throws -> Value {
        if let left = left.whole, let right = right.whole, let found = try calculate(kind, left, right) {
            return .integer(found)
        }
        guard let first = double(left), let second = double(right) else {
            throw Refused("'\(kind.rawValue)' between \(left.type) and \(right.type)")
        }
        if [.divide, .floorDivide, .remainder].contains(kind), second == 0 { throw Refused("a division by zero") }
        let found: Double
        switch kind {
        case .add: found = first + second
        case .subtract: found = first - second
        case .multiply: found = first * second
        case .divide: found = first / second
        case .floorDivide: found = (first / second).rounded(.down)
        case .remainder:
            let rest = first.truncatingRemainder(dividingBy: second)
            found = rest != 0 && (rest < 0) != (second < 0) ? rest + second : rest
        case .power: found = pow(first, second)
        }
        guard found.isFinite else { throw Refused("a number out of range") }
        return .number(found)
    }

    /// Whole numbers; nil where the result is a fraction.
    private static func calculate(_ kind: Arithmetic, _ left: Int, _ right: Int) throws -> Int? {
        var found: (partialValue: Int, overflow: Bool)
        switch kind {
        case .add: found = left.addingReportingOverflow(right)
        case .subtract: found = left.subtractingReportingOverflow(right)
        case .multiply: found = left.multipliedReportingOverflow(by: right)
        case .divide: return nil
        case .floorDivide, .remainder:
            guard right != 0 else { throw Refused("a division by zero") }
            found = left.dividedReportingOverflow(by: right)
            let rest = found.overflow ? 0 : left % right
            let below = rest != 0 && (rest < 0) != (right < 0)
            if kind == .remainder { return below ? rest + right : rest }
            if below { found.partialValue -= 1 }
        case .power:
            guard right >= 0 else { return nil }
            found = (1, false)
            if abs(Double(left)) <= 1 {
                return right == 0 ? 1 : left < 0 && right % 2 == 0 ? 1 : left
            }
            for _ in 0..<min(right, 64) {  // of any other number the 64th power does not fit
                found = found.partialValue.multipliedReportingOverflow(by: left)
                if found.overflow { break }
            }
        }
        guard !found.overflow else { throw Refused("a number out of range") }
        return found.partialValue
    }

    /// A fraction as Python writes it: the shortest digits that mean it, an exponent from 1e16 and below 1e-4.
    static func text(_ value: Double) -> String {
        let plain = "\(abs(value))".split(separator: "e", omittingEmptySubsequences: false)
        let parts = plain[0].split(separator: ".")
        let whole = String(parts[0])
        let fraction = parts.count > 1 ? String(parts[1]) : "0"
        // The digits without zeros around them, and where the point stands before the first of them.
        var digits = Array((whole + fraction).utf8)
        var point = whole.utf8.count + (plain.count > 1 ? Int(plain[1]) ?? 0 : 0)
        while digits.count > 1, digits.first == 0x30 {
            digits.removeFirst()
            point -= 1
        }
        while digits.count > 1, digits.last == 0x30 { digits.removeLast() }
        let sign = value.sign == .minus ? "-" : ""
        let shown = String(decoding: digits, as: UTF8.self)
        if value == 0 { return sign + "0.0" }
        let exponent = point - 1
        if exponent < -4 || exponent >= 16 {
            let mantissa = digits.count > 1 ? "\(shown.prefix(1)).\(shown.dropFirst())" : shown
            let size = abs(exponent)
            return "\(sign)\(mantissa)e\(exponent < 0 ? "-" : "+")\(size < 10 ? "0" : "")\(size)"
        }
        if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + shown }
        if point >= digits.count { return sign + shown + String(repeating: "0", count: point - digits.count) + ".0" }
        return "\(sign)\(shown.prefix(point)).\(shown.dropFirst(point))"
    }

    /// The whole part.
    static func truncated(_ value: Double) throws -> Int {
        guard let whole = Int(exactly: value.rounded(.towardZero)) else { throw Refused("a number out of range") }
        return whole
    }
}

extension Numbers {
    /// A text as a number is looked for in it.
    static func stripped(_ text: TemplateText) -> String {
        text.stripped().string
    }

    /// A fraction in decimal digits; nil for anything else.
    static func parsed(_ text: String) -> Double? {
        guard text.utf8.count <= 64, text.utf8.allSatisfy({ (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0) }),
            let value = Double(text), value.isFinite
        else { return nil }
        return value
    }

    /// - Parameter method: `common` (to the nearest, halves to even), `ceil` or `floor`.
    static func rounded(_ value: Double, places: Int, method: String) throws -> Double {
        guard (0...15).contains(places) else { throw Refused("round to \(places) places") }
        guard value.magnitude < 1e15 else { return value }  // there is nothing after the point
        let scale = pow(10, Double(places))
        switch method {
        case "common": return Double(String(format: "%.\(places)f", value)) ?? value
        case "ceil": return (value * scale).rounded(.up) / scale
        case "floor": return (value * scale).rounded(.down) / scale
        default: throw Refused("round by \(Json.quoted(String(method.prefix(40))))")
        }
    }
}
