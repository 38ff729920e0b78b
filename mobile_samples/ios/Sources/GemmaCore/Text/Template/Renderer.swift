/// Runs a template once. What runs too long, prints too much or nests too deep is refused.
final class Renderer {
    static let maxSteps = 1_000_000
    static let maxBytes = 1_000_000
    /// Of statements, expressions and macros inside each other: bounds the stack.
    static let maxLevel = 320

    private enum Flow { case on, breakLoop, continueLoop }

    /// Where the template is, for messages.
    private(set) var line = 1
    private var steps = 0
    private var level = 0
    private var output: [UInt8] = []
    /// What a block has printed, while its filters run.
    var captured = TemplateText("")
    /// Scopes that macros refer to, and which refer to macros.
    private var shared: [Scope] = []

    /// - Throws: `Refused`, `Raised`.
    func run(_ statements: [Statement], _ variables: [String: Value]) throws -> String {
        let context = Scope(nil)
        context.values = variables
        defer { for scope in shared { scope.values = [:] } }
        _ = try run(statements, Scope(context))
        return String(decoding: output, as: UTF8.self)
    }

    // MARK: Limits

    func charge(_ count: Int = 1) throws {
        steps += count
        guard steps <= Renderer.maxSteps else {
            throw Refused("the template takes more than \(Renderer.maxSteps) steps")
        }
    }

    /// For work on so many bytes.
    func charge(bytes: Int) throws {
        guard bytes <= Renderer.maxBytes else {
            throw Refused("the template makes a text of more than \(Renderer.maxBytes) bytes")
        }
        try charge(bytes / 64)
    }

    func enter(_ line: Int) throws {
        self.line = line
        level += 1
        guard level <= Renderer.maxLevel else { throw Refused("the template nests or calls itself too deep") }
        try charge()
    }

    func leave() { level -= 1 }

    // MARK: Statements

    private func print(_ text: [UInt8]) throws {
        try charge(bytes: text.count)
        guard output.count + text.count <= Renderer.maxBytes else {
            throw Refused("the template prints more than \(Renderer.maxBytes) bytes")
        }
        output.append(contentsOf: text)
    }

    private func run(_ statements: [Statement], _ scope: Scope) throws -> Flow {
        for statement in statements {
            let flow = try run(statement, scope)
            if flow != .on { return flow }
        }
        return .on
    }

    private func run(_ statement: Statement, _ scope: Scope) throws -> Flow {
        try enter(statement.line)
        defer { leave() }
        switch statement.kind {
        case .data(let text): try print(text.bytes)
        case .print(let expression): try print(try text(evaluate(expression, scope)).bytes)
        case .choice(let cases, let otherwise):
            for (test, body) in cases where try evaluate(test, scope).truth { return try run(body, scope) }
            return try run(otherwise, scope)
        case .loop(let definition): try loop(definition, scope)
        case .assignment(let target, let expression): try assign(target, try evaluate(expression, scope), scope)
        case .capture(let target, let body, let filtered): try capture(target, body, filtered, scope)
        case .macro(let definition):
            shared.append(scope)
            scope.values[definition.name] = .macro(Macro(definition, scope))
        case .block(let body): return try run(body, Scope(scope))
        case .breakLoop: return .breakLoop
        case .continueLoop: return .continueLoop
        }
        return .on
    }

    private func assign(_ target: Target, _ value: Value, _ scope: Scope) throws {
        switch target {
        case .name(let name): scope.values[name] = value
        case .attribute(let name, let attribute):
            guard case .namespace(let namespace) = scope.find(name) else {
                throw Refused("\(name).\(attribute) can be set of a namespace alone")
            }
            try namespace.set(attribute, value)
        case .names(let names):
            let values = try elements(value)
            guard values.count == names.count else {
                throw Refused("\(values.count) values for \(names.count) names")
            }
            for (name, value) in zip(names, values) { scope.values[name] = value }
        }
    }

    private func capture(_ target: Target, _ body: [Statement], _ filtered: Expression, _ scope: Scope) throws {
        let printed = try printed(body, Scope(scope))
        let outer = captured
        captured = printed
        defer { captured = outer }
        try assign(target, try evaluate(filtered, scope), scope)
    }

    /// What a body prints.
    func printed(_ body: [Statement], _ scope: Scope) throws -> TemplateText {
        let outer = output
        output = []
        defer { output = outer }
        _ = try run(body, scope)
        return TemplateText(output)
    }

    private func loop(_ definition: LoopDefinition, _ scope: Scope) throws {
        let passes = definition.test.map { test in
            { (item: Value) throws -> Bool in
                let inner = Scope(scope)
                try self.assign(definition.target, item, inner)
                return try self.evaluate(test, inner).truth
            }
        }
        let loop = Loop(try elements(evaluate(definition.items, scope)), passes: passes)
        while let item = try loop.advance() {
            try charge()
            let inner = Scope(scope)
            inner.values["loop"] = .loop(loop)
            try assign(definition.target, item, inner)
            if try run(definition.body, inner) == .breakLoop { return }
        }
        if loop.index < 0 { _ = try run(definition.otherwise, Scope(scope)) }
    }

    /// Calls a macro; its text.
    func call(_ macro: Macro, _ positional: [Value], _ named: [(name: String, value: Value)]) throws -> Value {
        let definition = macro.definition
        let names = definition.parameters.map(\.name)
        guard positional.count <= names.count else {
            throw Refused("the macro \(definition.name) takes \(names.count) arguments, not \(positional.count)")
        }
        let scope = Scope(macro.scope)
        for (name, value) in zip(names, positional) { scope.values[name] = value }
        for (name, value) in named {
            guard names.contains(name), scope.values[name] == nil else {
                throw Refused("the macro \(definition.name) is given \(name) in vain")
            }
            scope.values[name] = value
        }
        for (name, standard) in definition.parameters where scope.values[name] == nil {
            scope.values[name] = try standard.map { try evaluate($0, scope) } ?? .undefined("the argument \(name)")
        }
        return .text(try printed(definition.body, scope))
    }
}

/// What a template says itself when it refuses a conversation.
struct Raised: Error {
    let message: String
}
