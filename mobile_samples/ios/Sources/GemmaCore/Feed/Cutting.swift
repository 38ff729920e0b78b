/// How an app cuts a picture for the package that reads pictures: what `feeding.images` says beside its size.
///
/// Every rule is a word with one meaning; another word is refused, because this code does not do what it says.
public struct Cutting: Equatable, Sendable {
    /// The function that takes a picture of at most so many tokens, and the names of what goes in and comes out.
    public struct Length: Equatable, Sendable {
        public let tokens: Int
        /// That a call takes, padding included.
        public let patches: Int
        public let model: String
        public let section: String
        public let function: String
        let numbers: String
        let positions: String
        let rows: String
    }

    /// A byte of a pixel times this is a number of a patch.
    public let scale: Double
    /// Of a patch, in pixels.
    public let side: Int
    /// `pool` x `pool` patches become one token.
    public let pool: Int
    /// Column and row of a patch that is padding.
    public let padding: Int32
    /// Ascending; the first that has room for a picture's tokens takes it.
    public let lengths: [Length]
    /// What stands before and behind a picture's tokens, and what the chat template prints for all of it.
    public let begin: Int32
    public let each: Int32
    public let end: Int32
    /// Whose per-layer row stands beside each row of a picture; nil where the model has none.
    public let perLayer: Int32?

    /// Pixels of the largest picture that is fed; of 1,120 tokens there are 2.6 million.
    private static let mostPixels = 1 << 24

    /// - Parameters:
    ///   - fields: `feeding.images`.
    ///   - tokens, multiple: as `Images` has them.
    init(_ fields: Fields, tokens: Int, multiple: Int) throws {
        _ = try fields.child("resize").word("filter", "bicubic")
        let pixels = try fields.child("pixels")
        try pixels.only("orientation", "alpha", "channels", "scale", "order")
        _ = try pixels.word("orientation", "exif_first")
        _ = try pixels.word("alpha", "over_white")
        _ = try pixels.word("channels", "rgb")
        _ = try pixels.word("order", "rows_of_pixels")
        scale = try pixels.number("scale")
        guard scale.isFinite else { throw pixels.refused("scale", "is \(scale)") }
        let patches = try fields.child("patches")
        try patches.only("side", "pool", "order", "positions", "padding")
        _ = try patches.word("order", "row_by_row")
        _ = try patches.word("positions", "x_y")
        let padding = try patches.child("padding")
        try padding.only("patches", "position")
        _ = try padding.word("patches", "zeros")
        guard let position = Int32(exactly: try padding.integer("position")) else {
            throw padding.refused("position", "is no 32-bit integer")
        }
        self.padding = position
        let side = try patches.count("side"), pool = try patches.count("pool")
        guard (1...multiple).contains(side), (1...multiple).contains(pool), side * pool == multiple else {
            throw patches.refused("side", "is \(side), pool \(pool); both together are resize.multiple, \(multiple)")
        }
        self.side = side
        self.pool = pool
        guard tokens <= Cutting.mostPixels / (multiple * multiple) else {
            let most = Cutting.mostPixels
            throw fields.refused("tokens", "is \(tokens) squares of \(multiple) pixels; \(most) pixels are allowed")
        }
        lengths = try fields.children("lengths").map { try Length($0, square: pool * pool) }
        guard zip(lengths, lengths.dropFirst()).allSatisfy({ $0.tokens < $1.tokens }) else {
            throw fields.refused("lengths", "does not ascend")
        }
        guard lengths.last?.tokens == tokens else {
            throw fields.refused("lengths", "does not end with \(tokens) tokens")
        }
        let around = try fields.child("around")
        try around.only("begin", "each", "end")
        begin = try NamedToken(around.child("begin")).id
        each = try NamedToken(around.child("each")).id
        end = try NamedToken(around.child("end")).id
        perLayer = try fields.childOrNil("per_layer").map { try NamedToken($0).id }
    }

    /// Tokens that a picture becomes which has got its size.
    public func tokens(_ target: Extent) -> Int {
        (target.width / (side * pool)) * (target.height / (side * pool))
    }

    /// - Throws: `Refused`: no call takes so many tokens.
    public func length(_ tokens: Int) throws -> Length {
        guard let found = lengths.first(where: { $0.tokens >= tokens }), tokens > 0 else {
            throw Refused("a picture of \(tokens) tokens, calls take 1 to \(lengths.last?.tokens ?? 0)")
        }
        return found
    }
}

extension Cutting.Length {
    /// - Parameter square: patches that become one token.
    init(_ fields: Fields, square: Int) throws {
        try fields.only("tokens", "patches", "calls")
        tokens = try fields.count("tokens")
        patches = try fields.count("patches")
        let (most, over) = tokens.multipliedReportingOverflow(by: square)
        guard tokens > 0, !over, patches >= most else {
            throw fields.refused("patches", "is \(patches); \(tokens) tokens are \(square) each")
        }
        let calls = try fields.children("calls")
        guard let call = calls.first, calls.count == 1 else {
            throw fields.refused("calls", "are \(calls.count); this app knows pictures that go through 1")
        }
        try call.only("model", "section", "function", "inputs", "outputs")
        model = try call.text("model")
        guard Manifest.isName(Substring(model)) else { throw call.refused("model", "is no name that is allowed") }
        section = try call.text("section")
        function = try call.text("function")
        var named: [String: String] = [:]
        let inputs = try call.children("inputs")
        for input in inputs {
            try input.only("name", "source", "output")
            named[try input.word("source", "patches", "positions")] = try input.text("name")
        }
        guard inputs.count == 2, let numbers = named["patches"], let positions = named["positions"] else {
            throw call.refused("inputs", "are \(inputs.count); patches and positions are known, each once")
        }
        self.numbers = numbers
        self.positions = positions
        let outputs = try call.children("outputs")
        guard let output = outputs.first, outputs.count == 1 else {
            throw call.refused("outputs", "are \(outputs.count); rows alone are known")
        }
        try output.only("name", "meaning")
        _ = try output.word("meaning", "rows")
        rows = try output.text("name")
    }
}
