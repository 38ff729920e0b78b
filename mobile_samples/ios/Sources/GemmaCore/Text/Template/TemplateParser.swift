/// Reads the statements of a template.
struct TemplateParser {
    private var words: ExpressionParser
    private var bound: Set<String> = []
    private var loops = 0
    private var depth = 0

    /// - Throws: `Refused`: what this app does not know, or is no template; with its line.
    static func parse(_ source: TemplateText) throws -> [Statement] {
        var parser = TemplateParser(words: ExpressionParser(try TemplateLexer.tokens(source)))
        let body = try parser.body(until: [])
        for (name, line) in parser.words.called
        where !parser.bound.contains(name) && !Known.functions.contains(name) {
            throw Refused("line \(line): the function \(name)() is not known to this app")
        }
        return body
    }

    private init(words: ExpressionParser) {
        self.words = words
    }

    /// Statements up to one of the words, which stays the next one; or up to the template's end where there are none.
    private mutating func body(until ends: Set<String>) throws -> [Statement] {
        var out: [Statement] = []
        while true {
            let line = words.line
            switch words.next {
            case .data(let text):
                words.advance()
                out.append(Statement(.data(text), line))
            case .printBegin:
                words.advance()
                out.append(Statement(.print(try words.tuple()), line))
                try words.expect(.printEnd)
            case .statementBegin:
                words.advance()
                if case .name(let name) = words.next, ends.contains(name) { return out }
                out.append(try statement())
            case .end:
                guard ends.isEmpty else {
                    throw words.wrong("\(ends.sorted().joined(separator: " or ")) expected, not the template's end")
                }
                return out
            default: throw words.wrong("'\(words.next.shown)' is out of place")
            }
        }
    }

    /// A body deeper inside.
    private mutating func inner(_ ends: String...) throws -> [Statement] {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Expression.maxDepth else {
            throw words.wrong("statements are nested deeper than \(Expression.maxDepth)")
        }
        return try body(until: Set(ends))
    }

    private mutating func statement() throws -> Statement {
        let line = words.line
        let word = try words.name()
        let kind: Statement.Kind
        switch word {
        case "if": kind = try choice()
        case "for": kind = try loop()
        case "set": kind = try assignment()
        case "macro": kind = try macro()
        case "generation":  // transformers' mark of what an assistant said; it prints what is inside
            try words.expect(.statementEnd)
            kind = .block(try apart { try $0.inner("endgeneration") })
            try end("endgeneration")
        case "break", "continue":
            guard loops > 0 else { throw words.wrong("\(word) outside of a loop") }
            kind = word == "break" ? .breakLoop : .continueLoop
        default: throw Refused("line \(line): {% \(word) %} is not known to this app")
        }
        try words.expect(.statementEnd)
        return Statement(kind, line)
    }

    /// A body that `break` does not leave.
    private mutating func apart<Result>(_ read: (inout TemplateParser) throws -> Result) rethrows -> Result {
        let outer = loops
        loops = 0
        defer { loops = outer }
        return try read(&self)
    }

    private mutating func end(_ word: String) throws {
        guard words.takeName(word) else { throw words.wrong("\(word) expected, not '\(words.next.shown)'") }
    }

    private mutating func choice() throws -> Statement.Kind {
        var cases: [(test: Expression, body: [Statement])] = []
        repeat {
            let test = try words.tuple(conditional: false)
            try words.expect(.statementEnd)
            cases.append((test, try inner("elif", "else", "endif")))
        } while words.takeName("elif")
        var otherwise: [Statement] = []
        if words.takeName("else") {
            try words.expect(.statementEnd)
            otherwise = try inner("endif")
        }
        try end("endif")
        return .choice(cases, otherwise: otherwise)
    }

    private mutating func loop() throws -> Statement.Kind {
        let target = try target(attributes: false)
        try end("in")
        let items = try words.tuple(conditional: false, end: ["if", "recursive"])
        let test = words.takeName("if") ? try words.expression() : nil
        guard !words.isName("recursive") else { throw words.wrong("a recursive loop is not known to this app") }
        try words.expect(.statementEnd)
        loops += 1
        let body = try inner("else", "endfor")
        loops -= 1
        var otherwise: [Statement] = []
        if words.takeName("else") {
            try words.expect(.statementEnd)
            otherwise = try inner("endfor")
        }
        try end("endfor")
        return .loop(LoopDefinition(target: target, items: items, test: test, body: body, otherwise: otherwise))
    }

    private mutating func assignment() throws -> Statement.Kind {
        let line = words.line
        let target = try target(attributes: true)
        if words.take("=") { return .assignment(target, try words.tuple()) }
        let filtered = try words.filters(try Expression(.captured, line))
        try words.expect(.statementEnd)
        let body = try apart { try $0.inner("endset") }
        try end("endset")
        return .capture(target, body, filtered: filtered)
    }

    private mutating func target(attributes: Bool) throws -> Target {
        let name = try bindable()
        if attributes, words.take(".") { return .attribute(of: name, try words.name()) }
        guard words.isSign(",") else {
            bound.insert(name)
            return .name(name)
        }
        var names = [name]
        while words.take(",") {
            guard case .name(let more) = words.next, more != "in" else { break }
            names.append(try bindable())
        }
        bound.formUnion(names)
        return .names(names)
    }

    private mutating func bindable() throws -> String {
        let inBrackets = words.isSign("(")
        guard !inBrackets else { throw words.wrong("names in brackets are not known to this app") }
        let name = try words.name()
        guard !["true", "false", "none", "True", "False", "None", "loop"].contains(name) else {
            throw words.wrong("nothing can be assigned to \(name)")
        }
        return name
    }

    private mutating func macro() throws -> Statement.Kind {
        let name = try bindable()
        bound.insert(name)
        try words.expect("(")
        var parameters: [(name: String, standard: Expression?)] = []
        while !words.take(")") {
            if !parameters.isEmpty { try words.expect(",") }
            let parameter = try bindable()
            guard !parameters.contains(where: { $0.name == parameter }) else {
                throw words.wrong("the parameter \(parameter) twice")
            }
            bound.insert(parameter)
            if words.take("=") {
                parameters.append((parameter, try words.expression()))
            } else {
                guard parameters.last?.standard == nil else {
                    throw words.wrong("a parameter without a default after one with a default")
                }
                parameters.append((parameter, nil))
            }
        }
        try words.expect(.statementEnd)
        let body = try apart { try $0.inner("endmacro") }
        try end("endmacro")
        return .macro(MacroDefinition(name: name, parameters: parameters, body: body))
    }
}
