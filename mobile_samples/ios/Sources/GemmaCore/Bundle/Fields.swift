/// The members of a JSON object, by type; `path` is its place in the document, for messages.
///
/// Every getter throws `Refused` where the member is missing or of another type. `only` refuses members beyond a list.
public struct Fields: Sendable {
    public let path: String
    private let members: [String: Json]

    /// The document's outermost object.
    public init(_ json: Json, _ path: String) throws {
        guard case .object(let members) = json else { throw Refused("\(path) is no object") }
        self.members = members
        self.path = path
    }

    /// Sorted.
    public var keys: [String] { members.keys.sorted() }

    /// The member is there and not null.
    public func has(_ key: String) -> Bool {
        members[key] != nil && members[key] != .null
    }

    public func text(_ key: String) throws -> String {
        guard case .text(let value) = try get(key) else { throw refused(key, "is not a text") }
        return value
    }

    public func textOrNil(_ key: String) throws -> String? {
        try get(key) == .null ? nil : text(key)
    }

    public func integer(_ key: String) throws -> Int64 {
        guard case .integer(let value) = try get(key) else { throw refused(key, "is not an integer") }
        return value
    }

    /// A size or a number of things: not negative, and fits an `Int`.
    public func count(_ key: String) throws -> Int {
        let value = try integer(key)
        guard value >= 0, let count = Int(exactly: value) else {
            throw refused(key, "is \(value); 0 or more is allowed")
        }
        return count
    }

    public func countOrNil(_ key: String) throws -> Int? {
        try get(key) == .null ? nil : count(key)
    }

    public func number(_ key: String) throws -> Double {
        switch try get(key) {
        case .integer(let value): return Double(value)
        case .number(let value): return value
        default: throw refused(key, "is not a number")
        }
    }

    public func numberOrNil(_ key: String) throws -> Double? {
        try get(key) == .null ? nil : number(key)
    }

    public func flag(_ key: String) throws -> Bool {
        guard case .flag(let value) = try get(key) else { throw refused(key, "is not true or false") }
        return value
    }

    public func json(_ key: String) throws -> Json {
        try get(key)
    }

    public func child(_ key: String) throws -> Fields {
        guard case .object = try get(key) else { throw refused(key, "is not an object") }
        return try Fields(try get(key), "\(path).\(key)")
    }

    public func childOrNil(_ key: String) throws -> Fields? {
        try get(key) == .null ? nil : child(key)
    }

    public func children(_ key: String) throws -> [Fields] {
        try array(key).enumerated().map { try Fields($1, "\(path).\(key)[\($0)]") }
    }

    public func texts(_ key: String) throws -> [String] {
        try array(key).enumerated().map {
            guard case .text(let value) = $1 else { throw refused(key, "[\($0)] is not a text") }
            return value
        }
    }

    public func int32s(_ key: String) throws -> [Int32] {
        try array(key).enumerated().map {
            guard case .integer(let value) = $1, let small = Int32(exactly: value) else {
                throw refused(key, "[\($0)] is no 32-bit integer")
            }
            return small
        }
    }

    public func counts(_ key: String) throws -> [Int] {
        try int32s(key).map {
            guard $0 >= 0 else { throw refused(key, "holds \($0); 0 or more is allowed") }
            return Int($0)
        }
    }

    public func numbers(_ key: String) throws -> [Double] {
        try array(key).enumerated().map {
            switch $1 {
            case .integer(let value): return Double(value)
            case .number(let value): return value
            default: throw refused(key, "[\($0)] is no number")
            }
        }
    }

    /// 64 lower-case hex digits.
    public func sha256(_ key: String) throws -> String {
        let value = try text(key)
        guard value.utf8.count == 64, value.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { throw refused(key, "is no SHA-256: 64 lower-case hex digits") }
        return value
    }

    /// One of the words that this reader knows.
    public func word(_ key: String, _ known: String...) throws -> String {
        let value = try text(key)
        guard known.contains(value) else {
            throw refused(key, "is \(Json.quoted(value)); this app knows \(known.joined(separator: ", "))")
        }
        return value
    }

    /// Refuses a member that is not listed.
    public func only(_ known: String...) throws {
        if let odd = keys.first(where: { !known.contains($0) }) { throw refused(odd, "is not known to this app") }
    }

    public func refused(_ key: String, _ what: String) -> Refused {
        Refused("\(path).\(key) \(what)")
    }

    private func array(_ key: String) throws -> [Json] {
        guard case .array(let values) = try get(key) else { throw refused(key, "is not an array") }
        return values
    }

    private func get(_ key: String) throws -> Json {
        guard let value = members[key] else { throw refused(key, "is missing") }
        return value
    }
}
