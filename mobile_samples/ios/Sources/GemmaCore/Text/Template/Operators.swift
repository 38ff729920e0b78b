/// Operators between values.
extension Renderer {
    func calculate(_ kind: Arithmetic, _ left: Value, _ right: Value) throws -> Value {
        for case .undefined(let what) in [left, right] { throw Refused("\(what) is undefined") }
        switch (kind, left, right) {
        case (.add, .text(let first), .text(let second)):
            try charge(bytes: first.bytes.count + second.bytes.count)
            return .text(first + second)
        case (.add, .list(let first), .list(let second)) where first.tuple == second.tuple:
            try charge((first.values.count + second.values.count) / 4)
            return .list(try Items(first.values + second.values, tuple: first.tuple))
        case (.multiply, .text(let text), let times), (.multiply, let times, .text(let text)):
            let count = try repetitions(times, text.bytes.count)
            try charge(bytes: text.bytes.count * count)
            return .text(TemplateText(repeatElement(text.bytes, count: count).joined()))
        case (.multiply, .list(let items), let times), (.multiply, let times, .list(let items)):
            let count = try repetitions(times, items.values.count)
            try charge(items.values.count * count)
            return .list(try Items(Array(repeatElement(items.values, count: count).joined()), tuple: items.tuple))
        case (.remainder, .text, _): throw Refused("texts with % are not known to this app")
        default: return try Numbers.calculate(kind, left, right)
        }
    }

    private func repetitions(_ times: Value, _ size: Int) throws -> Int {
        guard let count = times.whole else { throw Refused("a text or list times \(times.type)") }
        guard size > 0 else { return 0 }
        guard count <= Renderer.maxBytes / size else {
            throw Refused("a text or list of more than \(Renderer.maxBytes) is made")
        }
        return max(count, 0)
    }

    func compare(_ kind: Comparison, _ left: Value, _ right: Value) throws -> Bool {
        switch kind {
        case .equal: return try equal(left, right)
        case .unequal: return !(try equal(left, right))
        case .inside: return try contains(right, left)
        case .outside: return !(try contains(right, left))
        case .less: return try precedes(left, right)
        case .greater: return try precedes(right, left)
        case .lessOrEqual: return try precedes(left, right) || equal(left, right)
        case .greaterOrEqual: return try precedes(right, left) || equal(left, right)
        }
    }

    func equal(_ left: Value, _ right: Value) throws -> Bool {
        try charge()
        switch (left, right) {
        case (.undefined, .undefined), (.null, .null): return true
        case (.text(let first), .text(let second)):
            try charge(bytes: min(first.bytes.count, second.bytes.count))
            return first == second
        case (.list(let first), .list(let second)):
            guard first.tuple == second.tuple, first.values.count == second.values.count else { return false }
            for (one, other) in zip(first.values, second.values) where !(try equal(one, other)) { return false }
            return true
        case (.mapping(let first), .mapping(let second)):
            guard first.keys.count == second.keys.count else { return false }
            for (key, value) in zip(first.keys, first.values) {
                guard let other = try second.get(key), try equal(value, other) else { return false }
            }
            return true
        case (.namespace(let first), .namespace(let second)): return first === second
        case (.macro(let first), .macro(let second)): return first === second
        default:
            if let first = left.whole, let second = right.whole { return first == second }
            guard let first = Numbers.double(left), let second = Numbers.double(right) else { return false }
            return first == second
        }
    }

    func precedes(_ left: Value, _ right: Value) throws -> Bool {
        try charge()
        switch (left, right) {
        case (.undefined(let what), _), (_, .undefined(let what)): throw Refused("\(what) is undefined")
        case (.text(let first), .text(let second)):
            try charge(bytes: min(first.bytes.count, second.bytes.count))
            return first < second
        case (.list(let first), .list(let second)) where first.tuple == second.tuple:
            for (one, other) in zip(first.values, second.values) where !(try equal(one, other)) {
                return try precedes(one, other)
            }
            return first.values.count < second.values.count
        default:
            if let first = left.whole, let second = right.whole { return first < second }
            guard let first = Numbers.double(left), let second = Numbers.double(right) else {
                throw Refused("a \(left.type) and a \(right.type) have no order")
            }
            return first < second
        }
    }

    /// Whether `value in owner`.
    private func contains(_ owner: Value, _ value: Value) throws -> Bool {
        switch owner {
        case .mapping(let mapping): return try mapping.get(value) != nil
        case .text(let text):
            guard case .text(let wanted) = value else { throw Refused("a \(value.type) in a text") }
            return try find(wanted, in: text) != nil
        default:
            for element in try elements(owner) where try equal(element, value) { return true }
            return false
        }
    }

    /// The first place of a text in another, in bytes, from a place on.
    func find(_ wanted: TemplateText, in text: TemplateText, from: Int = 0) throws -> Int? {
        let here = text.bytes
        let pattern = wanted.bytes
        guard !pattern.isEmpty else { return from }
        guard here.count - from >= pattern.count else { return nil }
        var place = from
        var work = 0
        defer { steps(work) }
        while place <= here.count - pattern.count {
            var i = 0
            while i < pattern.count, here[place + i] == pattern[i] { i += 1 }
            if i == pattern.count { return place }
            work += i + 1
            if work > 64 * Renderer.maxSteps { throw Refused("the template takes too long to search a text") }
            place += 1
        }
        return nil
    }

    /// Counts bytes that were compared; the next step tells if they are too many.
    private func steps(_ bytes: Int) {
        try? charge(bytes / 64)
    }
}
