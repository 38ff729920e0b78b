/// Reads the expressions of a template: Jinja's, in its order of precedence.
struct ExpressionParser {
    private let tokens: [(TemplateToken, line: Int)]
    private var at = 0
    private var depth = 0
    /// Names that somebody must have bound: those that are called, and Jinja's own.
    var called: [(name: String, line: Int)] = []

    init(_ tokens: [(TemplateToken, line: Int)]) {
        self.tokens = tokens
    }

    // MARK: Words

    var line: Int { tokens[at].line }

    var next: TemplateToken { tokens[at].0 }

    var afterNext: TemplateToken { at + 1 < tokens.count ? tokens[at + 1].0 : .end }

    func wrong(_ what: String) -> Refused { Refused("line \(line): \(what)") }

    mutating func advance() {
        if at + 1 < tokens.count { at += 1 }
    }

    func isSign(_ sign: String) -> Bool { next == .sign(sign) }

    func isName(_ name: String) -> Bool { next == .name(name) }

    /// Passes a sign if it is the next word.
    mutating func take(_ sign: String) -> Bool {
        guard isSign(sign) else { return false }
        advance()
        return true
    }

    mutating func takeName(_ name: String) -> Bool {
        guard isName(name) else { return false }
        advance()
        return true
    }

    mutating func expect(_ sign: String) throws {
        guard take(sign) else { throw wrong("'\(sign)' expected, not '\(next.shown)'") }
    }

    mutating func expect(_ token: TemplateToken) throws {
        guard next == token else { throw wrong("'\(token.shown)' expected, not '\(next.shown)'") }
        advance()
    }

    mutating func name() throws -> String {
        guard case .name(let name) = next else { throw wrong("a name expected, not '\(next.shown)'") }
        advance()
        return name
    }

    /// Runs what may contain itself, as often as is allowed.
    mutating func nested<Result>(_ read: (inout ExpressionParser) throws -> Result) throws -> Result {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Expression.maxDepth else { throw wrong("nested deeper than \(Expression.maxDepth)") }
        return try read(&self)
    }

    // MARK: Operators

    /// An expression; several with commas between them are a tuple.
    mutating func tuple(conditional: Bool = true, end: Set<String> = []) throws -> Expression {
        let line = line
        var parts = [try part(conditional)]
        guard isSign(",") else { return parts[0] }
        while take(",") {
            if endsExpression(end) { break }
            parts.append(try part(conditional))
        }
        return try Expression(.list(parts, tuple: true), line)
    }

    private mutating func part(_ conditional: Bool) throws -> Expression {
        conditional ? try expression() : try nested { try $0.or() }
    }

    private func endsExpression(_ end: Set<String>) -> Bool {
        switch next {
        case .printEnd, .statementEnd, .end: return true
        case .sign(let sign): return end.contains(sign) || sign == "="
        case .name(let name): return end.contains(name)
        default: return false
        }
    }

    mutating func expression() throws -> Expression {
        try nested { try $0.conditional() }
    }

    private mutating func conditional() throws -> Expression {
        var found = try or()
        while isName("if") {
            let line = line
            advance()
            let test = try or()
            let otherwise = takeName("else") ? try expression() : nil
            found = try Expression(.conditional(test: test, then: found, otherwise: otherwise), line)
        }
        return found
    }

    private mutating func or() throws -> Expression {
        var left = try and()
        while isName("or") {
            let line = line
            advance()
            left = try Expression(.or(left, try and()), line)
        }
        return left
    }

    private mutating func and() throws -> Expression {
        var left = try not()
        while isName("and") {
            let line = line
            advance()
            left = try Expression(.and(left, try not()), line)
        }
        return left
    }

    private mutating func not() throws -> Expression {
        guard isName("not") else { return try comparison() }
        let line = line
        advance()
        return try nested { try Expression(.not(try $0.not()), line) }
    }

    private mutating func comparison() throws -> Expression {
        let line = line
        let first = try sum()
        var others: [(Comparison, Expression)] = []
        while let kind = comparator() { others.append((kind, try sum())) }
        return others.isEmpty ? first : try Expression(.comparison(first, others), line)
    }

    private mutating func comparator() -> Comparison? {
        let signs: [String: Comparison] = [
            "==": .equal, "!=": .unequal, "<": .less, "<=": .lessOrEqual, ">": .greater, ">=": .greaterOrEqual,
        ]
        if case .sign(let sign) = next, let kind = signs[sign] {
            advance()
            return kind
        }
        if takeName("in") { return .inside }
        if isName("not"), afterNext == .name("in") {
            advance()
            advance()
            return .outside
        }
        return nil
    }

    private mutating func sum() throws -> Expression {
        try chain(["+", "-"]) { try $0.concatenation() }
    }

    private mutating func concatenation() throws -> Expression {
        let line = line
        var parts = [try product()]
        while take("~") { parts.append(try product()) }
        return parts.count == 1 ? parts[0] : try Expression(.concatenation(parts), line)
    }

    private mutating func product() throws -> Expression {
        try chain(["*", "/", "//", "%"]) { try $0.power() }
    }

    private mutating func power() throws -> Expression {
        try chain(["**"]) { try $0.unary(filters: true) }
    }

    private mutating func chain(
        _ signs: Set<String>, _ operand: (inout ExpressionParser) throws -> Expression
    ) throws -> Expression {
        var left = try operand(&self)
        while case .sign(let sign) = next, signs.contains(sign), let kind = Arithmetic(rawValue: sign) {
            let line = line
            advance()
            left = try Expression(.arithmetic(kind, left, try operand(&self)), line)
        }
        return left
    }

    private mutating func unary(filters: Bool) throws -> Expression {
        let line = line
        let found: Expression
        if take("-") {
            found = try nested { try Expression(.negative(try $0.unary(filters: false)), line) }
        } else if take("+") {
            found = try nested { try Expression(.positive(try $0.unary(filters: false)), line) }
        } else {
            found = try primary()
        }
        let whole = try postfix(found)
        return filters ? try filtered(whole) : whole
    }
}
