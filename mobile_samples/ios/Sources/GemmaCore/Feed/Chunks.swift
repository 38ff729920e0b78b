/// How a prompt is cut into calls.
public struct Chunks: Equatable, Sendable {
    /// The function that takes the prompt's last token, and then each token of the answer.
    public static let decode = "decode"

    /// A function that prefills so many tokens.
    public struct Length: Equatable, Sendable {
        public let function: String
        public let tokens: Int

        public init(function: String, tokens: Int) {
            self.function = function
            self.tokens = tokens
        }
    }

    /// A call: tokens `first..<end` of the conversation go into `function`, whose first row is at `first`.
    /// The function's further rows are padding.
    public struct Call: Equatable, Sendable {
        public let function: String
        /// Rows of the function.
        public let length: Int
        public let first: Int
        public let end: Int
    }

    /// Rows of the cache.
    public let context: Int
    /// Ascending.
    public let lengths: [Length]

    init(_ fields: Fields) throws {
        try fields.only("context", "lengths", "whole", "rest", "padding", "past_end", "last_token")
        _ = try fields.word("whole", "longest")
        _ = try fields.word("rest", "shortest_that_holds")
        _ = try fields.word("past_end", "shorter_or_decode")
        _ = try fields.word("last_token", Chunks.decode)
        let padding = try fields.child("padding")
        try padding.only("embeddings", "positions")
        _ = try padding.word("embeddings", "zeros")
        _ = try padding.word("positions", "continue")
        let context = try fields.count("context")
        lengths = try fields.children("lengths").map {
            try $0.only("function", "tokens")
            let tokens = try $0.count("tokens")
            guard (1...context).contains(tokens) else { throw $0.refused("tokens", "is \(tokens) of \(context) positions") }
            return Length(function: try $0.text("function"), tokens: tokens)
        }
        self.context = context
        guard !lengths.isEmpty else { throw fields.refused("lengths", "is empty") }
        guard zip(lengths, lengths.dropFirst()).allSatisfy({ $0.tokens < $1.tokens }) else {
            throw fields.refused("lengths", "does not ascend")
        }
    }

    /// - Parameter lengths: ascending, none longer than the context.
    public init(context: Int, lengths: [Length]) {
        self.context = context
        self.lengths = lengths
    }

    /// The calls that prefill tokens `filled..<(count - 1)` of a conversation of `count` tokens; the last one is for
    /// `decode`. Where a padded call would not fit the context, the longest function that is filled is called instead, or
    /// `decode`, token by token.
    ///
    /// - Parameter filled: tokens whose rows the cache has already.
    /// - Precondition: `count <= context`.
    public func calls(filled: Int, count: Int) -> [Call] {
        precondition(count <= context)
        var calls: [Call] = []
        var start = filled
        while start < count - 1 {
            let left = count - 1 - start
            let length = lengths.first { $0.tokens >= left && start + $0.tokens <= context }
                ?? lengths.last { $0.tokens <= left } ?? Length(function: Chunks.decode, tokens: 1)
            let end = min(start + length.tokens, count - 1)
            calls.append(Call(function: length.function, length: length.tokens, first: start, end: end))
            start = end
        }
        return calls
    }
}
