/// Expressions.
extension Renderer {
    func evaluate(_ expression: Expression, _ scope: Scope) throws -> Value {
        try enter(expression.line)
        defer { leave() }
        switch expression.kind {
        case .text(let text): return .text(text)
        case .integer(let value): return .integer(value)
        case .number(let value): return .number(value)
        case .flag(let value): return .flag(value)
        case .null: return .null
        case .captured: return .text(captured)
        case .name(let name): return scope.find(name) ?? .undefined(name)
        case .not(let operand): return .flag(!(try evaluate(operand, scope).truth))
        case .and(let left, let right):
            let first = try evaluate(left, scope)
            return first.truth ? try evaluate(right, scope) : first
        case .or(let left, let right):
            let first = try evaluate(left, scope)
            return first.truth ? first : try evaluate(right, scope)
        case .conditional(let test, let then, let otherwise):
            if try evaluate(test, scope).truth { return try evaluate(then, scope) }
            return try otherwise.map { try evaluate($0, scope) } ?? .undefined("what an if without else gives")
        default: return try compound(expression, scope)
        }
    }

    private func compound(_ expression: Expression, _ scope: Scope) throws -> Value {
        switch expression.kind {
        case .list(let parts, let tuple): return .list(try Items(parts.map { try evaluate($0, scope) }, tuple: tuple))
        case .mapping(let pairs):
            var mapping = Mapping()
            for (key, value) in pairs { try mapping.set(evaluate(key, scope), evaluate(value, scope)) }
            return .mapping(mapping)
        case .attribute(let operand, let name): return try attribute(evaluate(operand, scope), name)
        case .item(let operand, let key): return try item(evaluate(operand, scope), evaluate(key, scope))
        case .slice(let operand, let from, let to, let step):
            let bounds = try [from, to, step].map { try $0.map { try evaluate($0, scope) } }
            return try slice(evaluate(operand, scope), bounds[0], bounds[1], bounds[2])
        case .negative(let operand):
            return try calculate(.subtract, .integer(0), evaluate(operand, scope))
        case .positive(let operand): return try calculate(.add, .integer(0), evaluate(operand, scope))
        case .arithmetic(let kind, let left, let right):
            return try calculate(kind, evaluate(left, scope), evaluate(right, scope))
        case .concatenation(let parts):
            var out: [UInt8] = []
            for part in parts {
                out.append(contentsOf: try text(evaluate(part, scope)).bytes)
                try charge(bytes: out.count)
            }
            return .text(TemplateText(out))
        case .comparison(let first, let others): return try comparison(first, others, scope)
        default: return try called(expression, scope)
        }
    }

    private func comparison(
        _ first: Expression, _ others: [(Comparison, Expression)], _ scope: Scope
    ) throws -> Value {
        var left = try evaluate(first, scope)
        for (kind, operand) in others {
            let right = try evaluate(operand, scope)
            guard try compare(kind, left, right) else { return .flag(false) }
            left = right
        }
        return .flag(true)
    }

    private func called(_ expression: Expression, _ scope: Scope) throws -> Value {
        switch expression.kind {
        case .call(let name, let given):
            let positional = try given.positional.map { try evaluate($0, scope) }
            let named = try given.named.map { (name: $0.name, value: try evaluate($0.value, scope)) }
            switch scope.find(name) {
            case .macro(let macro): return try call(macro, positional, named)
            case .some(let value): throw Refused("\(name) is a \(value.type) and cannot be called")
            case nil where Known.functions.contains(name): return try function(name, positional, named)
            case nil: throw Refused("\(name) is undefined and cannot be called")
            }
        case .method(let operand, let name, let given):
            let owner = try evaluate(operand, scope)
            var all = try given.positional.map { try evaluate($0, scope) }
            // Only split and rsplit have names, of which the second may stand without the first.
            for (name, value) in given.named {
                let place = name == "sep" ? 0 : 1
                guard all.count <= place else { throw Refused("the argument \(name) twice") }
                if all.count < place { all.append(.null) }
                all.append(try evaluate(value, scope))
            }
            return try method(owner, name, all)
        case .filter(let operand, let name, let given):
            let value = try evaluate(operand, scope)
            return try filter(
                name, value, try given.positional.map { try evaluate($0, scope) },
                try given.named.map { (name: $0.name, value: try evaluate($0.value, scope)) })
        case .test(let operand, let name, let given, let negated):
            let value = try evaluate(operand, scope)
            let found = try test(name, value, try given.map { try evaluate($0, scope) })
            return .flag(found != negated)
        default: throw Refused("an expression that this app does not know")
        }
    }

    // MARK: Members

    /// `value.name`.
    func attribute(_ value: Value, _ name: String) throws -> Value {
        if let found = try ownMember(value, name) { return found }
        if case .mapping(let mapping) = value, let found = mapping.get(name) { return found }
        return .undefined("\(value.type)'s attribute \(name)")
    }

    /// `value[key]`.
    func item(_ value: Value, _ key: Value) throws -> Value {
        switch value {
        case .undefined(let what): throw Refused("\(what) is undefined")
        case .mapping(let mapping):
            if let found = try mapping.get(key) { return found }
        case .list(let items):
            if let found = element(key.whole, items.values.count).map({ items.values[$0] }) { return found }
        case .text(let text):
            if key.whole != nil {
                let all = try characters(text)
                if let found = element(key.whole, all.count).map({ Value.text(all[$0]) }) { return found }
            }
        default: break
        }
        if case .text(let name) = key, let found = try ownMember(value, name.string) { return found }
        return .undefined("\(value.type)'s element")
    }

    private func element(_ index: Int?, _ count: Int) -> Int? {
        guard let index, index >= -count, index < count else { return nil }
        return index < 0 ? index + count : index
    }

    /// What Python finds before it looks for keys.
    private func ownMember(_ value: Value, _ name: String) throws -> Value? {
        switch value {
        case .undefined(let what): throw Refused("\(what) is undefined")
        case .namespace(let namespace): return namespace.members[name]
        case .loop(let loop): return try member(of: loop, name)
        case .mapping: return Known.ofMappings.contains(name) ? .method(name) : nil
        case .list: return Known.ofLists.contains(name) ? .method(name) : nil
        case .text: return Known.ofTexts.contains(name) ? .method(name) : nil
        default: return nil
        }
    }

    private func member(of loop: Loop, _ name: String) throws -> Value? {
        switch name {
        case "index": return .integer(loop.index + 1)
        case "index0": return .integer(loop.index)
        case "revindex": return .integer(try loop.count() - loop.index)
        case "revindex0": return .integer(try loop.count() - loop.index - 1)
        case "first": return .flag(loop.index == 0)
        case "last": return .flag(try loop.next() == nil)
        case "length": return .integer(try loop.count())
        case "depth": return .integer(1)
        case "depth0": return .integer(0)
        case "previtem": return loop.previous ?? .undefined("the item before the first")
        case "nextitem": return try loop.next() ?? .undefined("the item after the last")
        default: return nil
        }
    }

    /// `value[from:to:step]`.
    private func slice(_ value: Value, _ from: Value?, _ to: Value?, _ step: Value?) throws -> Value {
        func bound(_ value: Value?) throws -> Int? {
            switch value {
            case nil, .null: return nil
            case .some(let value):
                guard let whole = value.whole else { throw Refused("a slice by \(value.type)") }
                return whole
            }
        }
        let step = try bound(step) ?? 1
        guard step != 0, step.magnitude <= UInt(Int32.max) else { throw Refused("a slice with a step of \(step)") }
        func places(_ count: Int) throws -> [Int] {
            let low = step < 0 ? -1 : 0
            let high = step < 0 ? count - 1 : count
            func clamped(_ index: Int?, _ standard: Int) -> Int {
                guard let index else { return standard }
                return min(max(index < 0 ? max(index, -count - 1) + count : index, low), high)
            }
            let begin = clamped(try bound(from), step < 0 ? high : low)
            let end = clamped(try bound(to), step < 0 ? low : high)
            return Array(stride(from: begin, to: end, by: step))
        }
        switch value {
        case .list(let items):
            try charge(items.values.count / 4)
            return .list(try Items(places(items.values.count).map { items.values[$0] }, tuple: items.tuple))
        case .text(let text):
            let all = try characters(text)
            return .text(TemplateText(try places(all.count).flatMap { all[$0].bytes }))
        case .undefined(let what): throw Refused("\(what) is undefined")
        default: throw Refused("a \(value.type) has no slices")
        }
    }

    /// The code points of a text.
    func characters(_ text: TemplateText) throws -> [TemplateText] {
        try charge(text.bytes.count / 4)
        return text.characters
    }

    /// What a loop goes through.
    func elements(_ value: Value) throws -> [Value] {
        let found: [Value]
        switch value {
        case .list(let items): found = items.values
        case .mapping(let mapping): found = mapping.keys
        case .stream(let stream): found = stream.takeAll()
        case .text(let text): found = try characters(text).map { .text($0) }
        case .undefined: found = []
        default: throw Refused("a \(value.type) has no elements")
        }
        try charge(found.count / 4)
        return found
    }
}
