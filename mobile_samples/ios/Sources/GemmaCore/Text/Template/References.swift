/// Values that come once.
final class Stream {
    private var values: ArraySlice<Value>

    init(_ values: [Value]) { self.values = values[...] }

    func takeAll() -> [Value] {
        defer { values = [] }
        return Array(values)
    }

    func takeFirst() -> Value? {
        values.popFirst()
    }
}

/// What `namespace()` makes: the one value that changes.
final class Namespace {
    private(set) var members: [String: Value]

    init(_ members: [String: Value]) throws {
        self.members = [:]
        for (name, value) in members { try set(name, value) }
    }

    func set(_ name: String, _ value: Value) throws {
        guard !name.hasPrefix("_") else { throw Refused("a namespace cannot have the attribute \(name)") }
        switch value {
        case .stream, .namespace, .macro, .loop: throw Refused("a \(value.type) cannot be kept in a namespace")
        default: members[name] = value
        }
    }
}

/// A macro and what it sees of the template around it.
final class Macro {
    let definition: MacroDefinition
    let scope: Scope

    init(_ definition: MacroDefinition, _ scope: Scope) {
        self.definition = definition
        self.scope = scope
    }
}

/// The `loop` of a `for`. Its test is made of one item after another, as they are needed: what the body has changed
/// counts for the items that come later.
final class Loop {
    private var rest: ArraySlice<Value>
    private let passes: ((Value) throws -> Bool)?
    /// Items that somebody looked ahead at.
    private var ahead: ArraySlice<Value> = []
    private var current: Value?
    private(set) var previous: Value?
    private(set) var index = -1
    /// What `changed` was given last.
    var seen: [Value]?

    init(_ items: [Value], passes: ((Value) throws -> Bool)?) {
        rest = items[...]
        self.passes = passes
    }

    /// Goes to the next item; nil at the end.
    func advance() throws -> Value? {
        guard let item = try next() else { return nil }
        ahead.removeFirst()
        previous = current
        current = item
        index += 1
        return item
    }

    /// The item after this one.
    func next() throws -> Value? {
        if ahead.isEmpty, let item = try take() { ahead.append(item) }
        return ahead.first
    }

    /// All items, those before this one too.
    func count() throws -> Int {
        while let item = try take() { ahead.append(item) }
        return index + 1 + ahead.count
    }

    private func take() throws -> Value? {
        while let item = rest.popFirst() {
            if try passes?(item) ?? true { return item }
        }
        return nil
    }
}

/// Names and their values, inside those around them.
final class Scope {
    var values: [String: Value] = [:]
    let parent: Scope?

    init(_ parent: Scope?) { self.parent = parent }

    func find(_ name: String) -> Value? {
        var scope: Scope? = self
        while let here = scope {
            if let value = here.values[name] { return value }
            scope = here.parent
        }
        return nil
    }
}
