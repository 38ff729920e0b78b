/// The chat template of a bundle: it makes the text of a conversation that a model was trained on.
///
/// A template is a program in Jinja. This interpreter has the part of the language that published Gemma templates
/// use, and gives the text that transformers gives; a template that uses more is refused when it is loaded. None may
/// run without end: steps, text and depth are bounded.
public struct ChatTemplate: Sendable {
    /// Of the source. Published ones have 16 to 19 kB.
    public static let maxBytes = 1 << 20
    private let body: [Statement]

    /// - Throws: `Refused`: no template, or one that uses what this app does not know; names it and its line.
    public init(_ source: String) throws {
        let text = TemplateText(source)
        guard text.bytes.count <= ChatTemplate.maxBytes else {
            throw Refused("the chat template has \(text.bytes.count) bytes; \(ChatTemplate.maxBytes) are allowed")
        }
        do {
            body = try Roomy.run { try TemplateParser.parse(text) }
        } catch let error as Refused {
            throw Refused("the chat template, \(error.message)")
        }
    }

    /// The text of a conversation. It begins with the start token wherever the template writes one: encode it without
    /// another.
    ///
    /// - Parameters:
    ///   - turns: a system turn first, if there is one.
    ///   - start: the text of the start token, `bos_token`.
    ///   - thinking: whether the model may think before it answers, `enable_thinking`.
    ///   - generation: whether the model's turn is opened at the end.
    ///   - more: further variables of the template: `eos_token`, `tools`. They replace those above. Members of
    ///     objects are in the order of their names.
    /// - Throws: `Refused`: the template refuses the conversation, needs what is not there, or does not end.
    public func render(
        _ turns: [Turn], start: String, thinking: Bool = false, generation: Bool = true, more: [String: Json] = [:]
    ) throws -> String {
        try render {
            var variables: [String: Value] = [
                "bos_token": .text(start), "enable_thinking": .flag(thinking),
                "add_generation_prompt": .flag(generation), "tools": .null, "documents": .null,
            ]
            variables["messages"] = try .list(
                turns.map { turn in
                    var message = Mapping()
                    try message.set(.text("role"), .text(turn.role.rawValue))
                    try message.set(.text("content"), ChatTemplate.content(turn))
                    return .mapping(message)
                })
            for (name, json) in more { variables[name] = try Value(json) }
            return variables
        }
    }

    /// Text, or a list of pictures and the text behind them.
    private static func content(_ turn: Turn) throws -> Value {
        if turn.pictures.isEmpty { return .text(turn.text) }
        func part(_ kind: String, _ text: String? = nil) throws -> Value {
            var made = Mapping()
            try made.set(.text("type"), .text(kind))
            if let text { try made.set(.text(kind), .text(text)) }
            return .mapping(made)
        }
        let seen = try turn.pictures.map { _ in try part("image") }
        return try .list(turn.text.isEmpty ? seen : seen + [part("text", turn.text)])
    }

    /// The text that the template makes of all its variables.
    ///
    /// - Parameter variables: a JSON object in UTF-8; members of objects keep their order.
    /// - Throws: `Refused`.
    public func render(variables: [UInt8]) throws -> String {
        try render {
            let value = try variables.withUnsafeBufferPointer { buffer in
                var reader = JsonReader(buffer)
                let value = try Value(&reader)
                try reader.end()
                return value
            }
            guard case .mapping(let mapping) = value else { throw Refused("the variables are no JSON object") }
            var all: [String: Value] = [:]
            for (key, value) in zip(mapping.keys, mapping.values) {
                if case .text(let name) = key { all[name.string] = value }
            }
            return all
        }
    }

    private func render(_ variables: @escaping @Sendable () throws -> [String: Value]) throws -> String {
        try Roomy.run { [body] in
            let given = try variables()
            let renderer = Renderer()
            do {
                return try renderer.run(body, given)
            } catch let error as Raised {
                let lines = error.message.prefix(400).split(whereSeparator: \.isNewline)
                throw Refused("the chat template refuses the conversation: \(lines.joined(separator: " "))")
            } catch let error as Refused {
                throw Refused("the chat template, line \(renderer.line): \(error.message)")
            }
        }
    }
}

extension Value {
    /// A value of a document; members of objects in the order of their names.
    init(_ json: Json) throws {
        switch json {
        case .null: self = .null
        case .flag(let value): self = .flag(value)
        case .integer(let value): self = .integer(Int(value))
        case .number(let value): self = .number(value)
        case .text(let value): self = .text(value)
        case .array(let values): self = try .list(values.map { try Value($0) })
        case .object(let members):
            var mapping = Mapping()
            for (key, value) in members.sorted(by: { $0.key < $1.key }) { try mapping.set(.text(key), Value(value)) }
            self = .mapping(mapping)
        }
    }

    /// The next value of a document; members of objects in their order.
    init(_ reader: inout JsonReader, depth: Int = 0) throws {
        guard depth < Items.maxDepth else { throw reader.wrong("nested deeper than \(Items.maxDepth)") }
        switch try reader.peek() {
        case UInt8(ascii: "["):
            var values: [Value] = []
            try reader.array { values.append(try Value(&$0, depth: depth + 1)) }
            self = try .list(values)
        case UInt8(ascii: "{"):
            var mapping = Mapping()
            try reader.object { try mapping.set(.text($1), Value(&$0, depth: depth + 1)) }
            self = .mapping(mapping)
        default: self = try Value(reader.value())
        }
    }
}
