/// Filters and tests behind an expression. Each must be known, with its arguments.
extension ExpressionParser {
    mutating func filtered(_ operand: Expression) throws -> Expression {
        var found = operand
        while true {
            let line = line
            if take("|") {
                found = try filter(found, line)
            } else if isName("is") {
                advance()
                found = try test(found, line)
            } else if isSign("(") {
                throw wrong("this app cannot call what has no name")
            } else {
                return found
            }
        }
    }

    /// Filters one after another, of what a block has printed.
    mutating func filters(_ operand: Expression) throws -> Expression {
        var found = operand
        while isSign("|") {
            let line = line
            advance()
            found = try filter(found, line)
        }
        return found
    }

    private mutating func filter(_ operand: Expression, _ line: Int) throws -> Expression {
        let name = try name()
        guard let parameters = Known.filters[name] else { throw wrong("the filter \(name) is not known to this app") }
        let given = isSign("(") ? try arguments() : Arguments()
        func refuse(_ what: String) -> Refused { Refused("line \(line): the filter \(name) \(what)") }
        if let parameters {
            guard given.positional.count <= parameters.count else { throw refuse("has too many arguments") }
            if let odd = given.named.first(where: { !parameters.dropFirst(given.positional.count).contains($0.name) }) {
                throw refuse("with \(odd.name)= is not known to this app")
            }
        } else {
            try checkNames(name, given, refuse)
        }
        return try Expression(.filter(operand, name, given), line)
    }

    /// `map` names a filter, `select` and its kin a test: both must be known as well.
    private func checkNames(_ name: String, _ given: Arguments, _ refuse: (String) -> Refused) throws {
        let attribute = name.hasSuffix("attr") ? 1 : 0
        if name == "map", given.positional.isEmpty {
            guard given.named.contains(where: { $0.name == "attribute" }),
                given.named.allSatisfy({ ["attribute", "default"].contains($0.name) })
            else { throw refuse("needs a filter or attribute=") }
            return
        }
        guard given.named.isEmpty else { throw refuse("with \(given.named[0].name)= is not known to this app") }
        guard given.positional.count >= attribute else { throw refuse("needs an attribute") }
        guard given.positional.count > attribute else {
            if name == "map" { throw refuse("needs a filter") }
            return
        }
        guard case .text(let word) = given.positional[attribute].kind else {
            throw refuse("with another filter or test than one in quotes is not known to this app")
        }
        let rest = given.positional.count - attribute - 1
        if name == "map" {
            guard let parameters = Known.filters[word.string], let parameters, rest <= parameters.count else {
                throw refuse("with \(Json.quoted(word.string)) is not known to this app")
            }
        } else {
            guard Known.tests[word.string] == rest else {
                throw refuse("with the test \(Json.quoted(word.string)) is not known to this app")
            }
        }
    }

    private mutating func test(_ operand: Expression, _ line: Int) throws -> Expression {
        let negated = takeName("not")
        let name = try name()
        guard let count = Known.tests[name] else { throw wrong("the test \(name) is not known to this app") }
        var given: [Expression] = []
        if isSign("(") {
            let all = try arguments()
            guard all.named.isEmpty else { throw wrong("the test \(name) with a named argument is not known") }
            given = all.positional
        } else if startsArgument() {
            given = [try nested { try $0.postfix(try $0.primary()) }]
        }
        guard given.count == count else {
            throw Refused("line \(line): the test \(name) takes \(count) arguments, not \(given.count)")
        }
        return try Expression(.test(operand, name, given, negated: negated), line)
    }

    private func startsArgument() -> Bool {
        switch next {
        case .name(let name): return !["else", "or", "and", "if", "is", "not", "in"].contains(name)
        case .text, .integer, .number: return true
        case .sign(let sign): return ["[", "{"].contains(sign)
        default: return false
        }
    }
}
