/// Names, literals, and what stands behind them: members, slices, calls.
extension ExpressionParser {
    mutating func primary() throws -> Expression {
        let line = line
        let token = next
        advance()
        switch token {
        case .integer(let value): return try Expression(.integer(value), line)
        case .number(let value): return try Expression(.number(value), line)
        case .text(var text):
            while case .text(let more) = next {
                text = text + more
                advance()
            }
            return try Expression(.text(text), line)
        case .name(let name):
            if Known.reserved.contains(name) { called.append((name, line)) }
            return try Expression(ExpressionParser.constant(name) ?? .name(name), line)
        case .sign("("):
            if take(")") { return try Expression(.list([], tuple: true), line) }
            let inside = try nested { try $0.tuple(end: [")"]) }
            try expect(")")
            return inside
        case .sign("["):
            return try Expression(.list(try list(until: "]") { try $0.expression() }, tuple: false), line)
        case .sign("{"):
            let pairs = try list(until: "}") { parser in
                let key = try parser.expression()
                try parser.expect(":")
                return (key: key, value: try parser.expression())
            }
            return try Expression(.mapping(pairs), line)
        default: throw Refused("line \(line): an expression expected, not '\(token.shown)'")
        }
    }

    private static func constant(_ name: String) -> Expression.Kind? {
        switch name {
        case "true", "True": return .flag(true)
        case "false", "False": return .flag(false)
        case "none", "None": return .null
        default: return nil
        }
    }

    private mutating func list<Element>(
        until close: String, _ element: (inout ExpressionParser) throws -> Element
    ) throws -> [Element] {
        var out: [Element] = []
        while !take(close) {
            if !out.isEmpty {
                try expect(",")
                if take(close) { break }
            }
            out.append(try element(&self))
        }
        return out
    }

    mutating func postfix(_ operand: Expression) throws -> Expression {
        var found = operand
        while true {
            let line = line
            if take(".") {
                if case .integer(let place) = next {
                    advance()
                    found = try Expression(.item(found, try Expression(.integer(place), line)), line)
                } else {
                    let name = try name()
                    found = isSign("(") ? try method(found, name, line) : try Expression(.attribute(found, name), line)
                }
            } else if take("[") {
                found = try subscripted(found, line)
            } else if isSign("(") {
                guard case .name(let name) = found.kind else { throw wrong("this app cannot call what has no name") }
                called.append((name, line))
                found = try Expression(.call(name: name, try arguments()), line)
            } else {
                return found
            }
        }
    }

    private mutating func method(_ operand: Expression, _ name: String, _ line: Int) throws -> Expression {
        guard let names = Known.methods[name] else { throw wrong("the method .\(name)() is not known to this app") }
        let arguments = try arguments()
        if let odd = arguments.named.first(where: { !names.contains($0.name) }) {
            throw Refused("line \(line): .\(name)(\(odd.name)=) is not known to this app")
        }
        return try Expression(.method(operand, name, arguments), line)
    }

    private mutating func subscripted(_ operand: Expression, _ line: Int) throws -> Expression {
        var bounds: [Expression?] = [nil]
        var colons = 0
        while !take("]") {
            if take(":") {
                colons += 1
                guard colons < 3 else { throw wrong("a slice has three parts at most") }
                bounds.append(nil)
            } else if bounds[colons] == nil {
                bounds[colons] = try expression()
            } else {
                throw wrong("']' expected, not '\(next.shown)'")
            }
        }
        if colons == 0 {
            guard case .some(.some(let item)) = bounds.first else { throw wrong("an expression expected, not ']'") }
            return try Expression(.item(operand, item), line)
        }
        let step = colons == 2 ? bounds[2] : nil
        return try Expression(.slice(operand, from: bounds[0], to: bounds[1], step: step), line)
    }

    mutating func arguments() throws -> Arguments {
        try expect("(")
        var out = Arguments()
        _ = try list(until: ")") { parser in
            if parser.isSign("*") || parser.isSign("**") {
                throw parser.wrong("arguments from a list or mapping are not known to this app")
            }
            if case .name(let name) = parser.next, parser.afterNext == .sign("=") {
                parser.advance()
                parser.advance()
                guard !out.named.contains(where: { $0.name == name }) else {
                    throw parser.wrong("the argument \(name) twice")
                }
                out.named.append((name, try parser.expression()))
            } else {
                guard out.named.isEmpty else { throw parser.wrong("an argument without a name after one with a name") }
                out.positional.append(try parser.expression())
            }
        }
        return out
    }
}
