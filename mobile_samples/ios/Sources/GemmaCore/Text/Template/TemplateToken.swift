/// A word of a template.
enum TemplateToken: Equatable, Sendable {
    case data(TemplateText)
    case statementBegin, statementEnd, printBegin, printEnd
    case name(String)
    case text(TemplateText)
    case integer(Int)
    case number(Double)
    case sign(String)
    case end

    /// For messages.
    var shown: String {
        switch self {
        case .data: return "text"
        case .statementBegin: return "{%"
        case .statementEnd: return "%}"
        case .printBegin: return "{{"
        case .printEnd: return "}}"
        case .name(let name): return name
        case .text: return "a text"
        case .integer(let value): return "\(value)"
        case .number(let value): return "\(value)"
        case .sign(let sign): return sign
        case .end: return "the end of the template"
        }
    }
}
