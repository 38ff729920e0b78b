/// Filters that go through lists.
extension Renderer {
    func length(_ value: Value) throws -> Int {
        switch value {
        case .undefined: return 0
        case .text(let text):
            try charge(bytes: text.bytes.count)
            return text.count
        case .list(let items): return items.values.count
        case .mapping(let mapping): return mapping.keys.count
        case .loop(let loop): return try loop.count()
        default: throw Refused("a \(value.type) has no length")
        }
    }

    func first(_ value: Value) throws -> Value {
        if case .stream(let stream) = value { return stream.takeFirst() ?? .undefined("the first of nothing") }
        return try elements(value).first ?? .undefined("the first of nothing")
    }

    func last(_ value: Value) throws -> Value {
        if case .stream = value { throw Refused("the last of a generator") }
        return try elements(value).last ?? .undefined("the last of nothing")
    }

    func reversed(_ value: Value) throws -> Value {
        switch value {
        case .text(let text): return .text(TemplateText(try characters(text).reversed().flatMap(\.bytes)))
        case .stream(let stream): return try .list(stream.takeAll().reversed())
        default: return .stream(Stream(try elements(value).reversed()))
        }
    }

    /// Keys with their values.
    func pairs(_ mapping: Mapping) throws -> [Value] {
        try charge(mapping.keys.count)
        return try zip(mapping.keys, mapping.values).map { .list(try Items([$0, $1], tuple: true)) }
    }

    /// A member of a member: `function.name`, `parts.0`.
    private func path(_ value: Value, _ path: Value, missing: Value? = nil) throws -> Value {
        var found = value
        let steps: [Value]
        if case .text(let text) = path {
            steps = text.string.split(separator: ".", omittingEmptySubsequences: false).map {
                Int($0).map { .integer($0) } ?? .text(String($0))
            }
        } else {
            steps = [path]
        }
        for step in steps {
            try charge()
            found = try item(found, step)
            if let missing, found.isUndefined { found = missing }
        }
        return found
    }

    /// A text in lower case where case does not count, for sorting.
    private func key(_ value: Value, _ attribute: Value?, _ caseCounts: Bool) throws -> Value {
        let found = try attribute.map { isNull($0) ? value : try path(value, $0) } ?? value
        guard !caseCounts, case .text(let text) = found else { return found }
        try charge(bytes: text.bytes.count)
        return .text(Casing.lower(text))
    }

    func sorted<Element>(
        _ all: [Element], reversed: Bool, by key: (Element) throws -> Value
    ) throws -> [Element] {
        let keyed = try all.enumerated().map { (place: $0, element: $1, key: try key($1)) }
        // Equals keep their order, also when reversed.
        let found = try keyed.sorted { one, other in
            let (low, high) = reversed ? (other, one) : (one, other)
            if try precedes(low.key, high.key) { return true }
            return try one.place < other.place && !precedes(high.key, low.key)
        }
        return found.map(\.element)
    }

    func gather(_ name: String, _ value: Value, _ given: [String: Value]) throws -> Value {
        let attribute = given["attribute"]
        let caseCounts = given["case_sensitive"]?.truth ?? false
        let reverse = given["reverse"]?.truth ?? false
        switch name {
        case "dictsort":
            guard case .mapping(let mapping) = value else { throw Refused("dictsort of a \(value.type)") }
            let by = try text(given["by"] ?? .text("key")).string
            guard ["key", "value"].contains(by) else { throw Refused("dictsort by \(Json.quoted(by))") }
            let places = try sorted(Array(mapping.keys.indices), reversed: reverse) {
                try key(by == "key" ? mapping.keys[$0] : mapping.values[$0], nil, caseCounts)
            }
            let pairs = try pairs(mapping)
            return try .list(places.map { pairs[$0] })
        case "sort": return try .list(sorted(elements(value), reversed: reverse) { try key($0, attribute, caseCounts) })
        case "unique":
            var keys: [Value] = []
            let found = try elements(value).filter { element in
                let key = try key(element, attribute, caseCounts)
                guard key.depth == 0 else { throw Refused("unique of a \(key.type)") }
                for known in keys where try equal(known, key) { return false }
                keys.append(key)
                return true
            }
            return .stream(Stream(found))
        case "min", "max":
            var best: (element: Value, key: Value)?
            for element in try elements(value) {
                let key = try key(element, attribute, caseCounts)
                if let known = best, !(try name == "min" ? precedes(key, known.key) : precedes(known.key, key)) {
                    continue
                }
                best = (element, key)
            }
            return best?.element ?? .undefined("the \(name) of nothing")
        case "sum":
            return try elements(value).reduce(given["start"] ?? .integer(0)) { sum, element in
                try calculate(.add, sum, attribute.map { isNull($0) ? element : try path(element, $0) } ?? element)
            }
        default: return try joined(elements(value), given)
        }
    }

    private func joined(_ all: [Value], _ given: [String: Value]) throws -> Value {
        let between = try text(given["d"] ?? .text(""))
        let parts = try all.map { element in
            try text(given["attribute"].map { isNull($0) ? element : try path(element, $0) } ?? element)
        }
        return .text(try join(parts, between))
    }

    func join(_ parts: [TemplateText], _ between: TemplateText) throws -> TemplateText {
        try charge(bytes: parts.reduce(0) { $0 + $1.bytes.count + between.bytes.count })
        return TemplateText(parts.map(\.bytes).joined(separator: between.bytes))
    }

    /// `map`, `select`, `reject` and the latter two by an attribute.
    func choose(
        _ name: String, _ value: Value, _ positional: [Value], _ named: [(name: String, value: Value)]
    ) throws -> Value {
        guard value.truth else { return .stream(Stream([])) }
        let all = try elements(value)
        try charge(all.count)
        if name == "map" {
            if let attribute = named.first(where: { $0.name == "attribute" })?.value {
                let missing = named.first { $0.name == "default" }?.value
                return .stream(Stream(try all.map { try path($0, attribute, missing: missing) }))
            }
            let word = try text(positional[0]).string
            return .stream(Stream(try all.map { try filter(word, $0, Array(positional.dropFirst()), []) }))
        }
        let byAttribute = name.hasSuffix("attr")
        let rest = byAttribute ? positional.dropFirst() : positional[...]
        let word = try rest.first.map { try text($0).string }
        let found = try all.filter { element in
            let asked = byAttribute ? try path(element, positional[0]) : element
            let passes = try word.map { try test($0, asked, Array(rest.dropFirst())) } ?? asked.truth
            return passes == name.hasPrefix("select")
        }
        return .stream(Stream(found))
    }
}
