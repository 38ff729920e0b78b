/// An expression of a template.
final class Expression: Sendable {
    indirect enum Kind: Sendable {
        case text(TemplateText)
        case integer(Int)
        case number(Double)
        case flag(Bool)
        case null
        case name(String)
        case list([Expression], tuple: Bool)
        case mapping([(key: Expression, value: Expression)])
        case attribute(Expression, String)
        case item(Expression, Expression)
        case slice(Expression, from: Expression?, to: Expression?, step: Expression?)
        case call(name: String, Arguments)
        case method(Expression, String, Arguments)
        case filter(Expression, String, Arguments)
        case test(Expression, String, [Expression], negated: Bool)
        case not(Expression)
        case negative(Expression)
        case positive(Expression)
        case arithmetic(Arithmetic, Expression, Expression)
        case concatenation([Expression])
        case and(Expression, Expression)
        case or(Expression, Expression)
        case comparison(Expression, [(Comparison, Expression)])
        case conditional(test: Expression, then: Expression, otherwise: Expression?)
        /// What the body of a block has printed, where a filter stands for the whole block.
        case captured
    }

    static let maxDepth = 64
    let kind: Kind
    let line: Int
    /// How deep expressions are nested in it.
    let depth: Int

    /// - Throws: `Refused`: nested too deep.
    init(_ kind: Kind, _ line: Int) throws {
        self.kind = kind
        self.line = line
        depth = 1 + (Expression.parts(kind).lazy.map(\.depth).max() ?? 0)
        guard depth <= Expression.maxDepth else {
            throw Refused("line \(line): expressions are nested deeper than \(Expression.maxDepth)")
        }
    }

    private static func parts(_ kind: Kind) -> [Expression] {
        switch kind {
        case .text, .integer, .number, .flag, .null, .name, .captured: return []
        case .list(let all, _): return all
        case .mapping(let all): return all.flatMap { [$0.key, $0.value] }
        case .attribute(let one, _), .not(let one), .negative(let one), .positive(let one): return [one]
        case .item(let one, let other), .and(let one, let other), .or(let one, let other): return [one, other]
        case .arithmetic(_, let one, let other): return [one, other]
        case .slice(let one, let from, let to, let step): return [one] + [from, to, step].compactMap { $0 }
        case .call(_, let arguments): return arguments.all
        case .method(let one, _, let arguments), .filter(let one, _, let arguments): return [one] + arguments.all
        case .test(let one, _, let arguments, _): return [one] + arguments
        case .concatenation(let all): return all
        case .comparison(let one, let others): return [one] + others.map(\.1)
        case .conditional(let test, let then, let otherwise): return [test, then] + (otherwise.map { [$0] } ?? [])
        }
    }
}

/// What a call is given.
struct Arguments: Sendable {
    var positional: [Expression] = []
    var named: [(name: String, value: Expression)] = []

    var all: [Expression] { positional + named.map(\.value) }
}

enum Arithmetic: String, Sendable {
    case add = "+", subtract = "-", multiply = "*", divide = "/", floorDivide = "//", remainder = "%", power = "**"
}

enum Comparison: Sendable {
    case equal, unequal, less, lessOrEqual, greater, greaterOrEqual, inside, outside
}

/// What a value is given to.
enum Target: Sendable {
    case name(String)
    case attribute(of: String, String)
    case names([String])
}

/// A statement of a template.
final class Statement: Sendable {
    enum Kind: Sendable {
        case data(TemplateText)
        case print(Expression)
        case choice([(test: Expression, body: [Statement])], otherwise: [Statement])
        case loop(LoopDefinition)
        case assignment(Target, Expression)
        /// A name is given what the body prints, after filters.
        case capture(Target, [Statement], filtered: Expression)
        case macro(MacroDefinition)
        /// A body whose assignments end with it.
        case block([Statement])
        case breakLoop
        case continueLoop
    }

    let kind: Kind
    let line: Int

    init(_ kind: Kind, _ line: Int) {
        self.kind = kind
        self.line = line
    }
}

struct LoopDefinition: Sendable {
    let target: Target
    let items: Expression
    let test: Expression?
    let body: [Statement]
    let otherwise: [Statement]
}

struct MacroDefinition: Sendable {
    let name: String
    let parameters: [(name: String, standard: Expression?)]
    let body: [Statement]
}
