/// A value inside a template.
enum Value {
    /// What a missing name or member gives; the text says what is missing.
    case undefined(String)
    case null
    case flag(Bool)
    case integer(Int)
    case number(Double)
    case text(TemplateText)
    case list(Items)
    case mapping(Mapping)
    /// What `map`, `select` and the like give: it can be gone through once.
    case stream(Stream)
    case namespace(Namespace)
    case macro(Macro)
    case loop(Loop)
    /// A method that is named and not called.
    case method(String)

    static func text(_ string: String) -> Value { .text(TemplateText(string)) }

    static func list(_ values: [Value]) throws -> Value { .list(try Items(values)) }

    var isUndefined: Bool {
        if case .undefined = self { return true }
        return false
    }

    /// As `if` sees it.
    var truth: Bool {
        switch self {
        case .undefined, .null: return false
        case .flag(let value): return value
        case .integer(let value): return value != 0
        case .number(let value): return value != 0
        case .text(let value): return !value.bytes.isEmpty
        case .list(let items): return !items.values.isEmpty
        case .mapping(let mapping): return !mapping.keys.isEmpty
        case .stream, .namespace, .macro, .loop, .method: return true
        }
    }

    /// Python's name of the type, for messages.
    var type: String {
        switch self {
        case .undefined: return "Undefined"
        case .null: return "NoneType"
        case .flag: return "bool"
        case .integer: return "int"
        case .number: return "float"
        case .text: return "str"
        case .list(let items): return items.tuple ? "tuple" : "list"
        case .mapping: return "dict"
        case .stream: return "generator"
        case .namespace: return "Namespace"
        case .macro: return "Macro"
        case .loop: return "LoopContext"
        case .method: return "method"
        }
    }

    /// A whole number, true and false being 1 and 0.
    var whole: Int? {
        switch self {
        case .flag(let value): return value ? 1 : 0
        case .integer(let value): return value
        default: return nil
        }
    }

    /// How deep lists and mappings are nested in it. What refers to something else may not be put into them, lest a
    /// value contain itself or a chain without end.
    var depth: Int {
        switch self {
        case .list(let items): return items.depth
        case .mapping(let mapping): return mapping.depth
        case .stream, .namespace, .macro, .loop: return Items.maxDepth
        default: return 0
        }
    }
}

/// The elements of a list or a tuple.
struct Items {
    static let maxDepth = 64
    let values: [Value]
    let tuple: Bool
    let depth: Int

    /// - Throws: `Refused`: nested too deep, or an element that refers to something else.
    init(_ values: [Value], tuple: Bool = false) throws {
        self.values = values
        self.tuple = tuple
        depth = try Items.depth(values)
    }

    static func depth(_ values: [Value]) throws -> Int {
        let depth = 1 + (values.lazy.map(\.depth).max() ?? 0)
        guard depth <= maxDepth else { throw Refused("values are nested deeper than \(maxDepth)") }
        return depth
    }
}

/// A dictionary whose keys keep their order.
struct Mapping {
    private(set) var keys: [Value] = []
    private(set) var values: [Value] = []
    private var places: [TemplateText: Int] = [:]
    private(set) var depth = 1

    /// - Throws: `Refused`: a key that is no text, number or the like; a value nested too deep.
    mutating func set(_ key: Value, _ value: Value) throws {
        depth = max(depth, try Items.depth([value]))
        if let place = try place(key) {
            values[place] = value
            return
        }
        if case .text(let text) = key { places[text] = keys.count }
        keys.append(key)
        values.append(value)
    }

    func get(_ key: Value) throws -> Value? {
        try place(key).map { values[$0] }
    }

    func get(_ key: String) -> Value? {
        places[TemplateText(key)].map { values[$0] }
    }

    private func place(_ key: Value) throws -> Int? {
        switch key {
        case .text(let text): return places[text]
        case .null, .flag, .integer, .number:
            return keys.firstIndex { Mapping.same($0, key) }
        default: throw Refused("a \(key.type) cannot be a key")
        }
    }

    private static func same(_ left: Value, _ right: Value) -> Bool {
        if case .null = left, case .null = right { return true }
        guard let left = Numbers.double(left), let right = Numbers.double(right) else { return false }
        return left == right
    }
}
