/// Width and height in pixels.
public struct Extent: Equatable, Sendable {
    public let width: Int
    public let height: Int

    public init(_ width: Int, _ height: Int) {
        self.width = width
        self.height = height
    }
}

/// The part `feeding.images` of a manifest: how large a picture the model looks at, and how it is cut.
public struct Images: Equatable, Sendable {
    /// That a picture becomes, at most.
    public let tokens: Int
    /// Pixels: each token is a square of this side, and both sides of a picture become a multiple of it.
    public let multiple: Int
    /// How the app cuts a picture; nil where the runtime does, and is given a file.
    public let cutting: Cutting?

    public init(tokens: Int, multiple: Int) {
        self.tokens = tokens
        self.multiple = multiple
        cutting = nil
    }

    public init(_ fields: Fields) throws {
        try fields.only("tokens", "resize", "pixels", "patches", "lengths", "around", "per_layer", "cut_by")
        let resize = try fields.child("resize")
        try resize.only("rule", "multiple", "filter")
        _ = try resize.word("rule", "largest_within")
        tokens = try Images.count(fields, "tokens")
        multiple = try Images.count(resize, "multiple")
        let runtime = try fields.childOrNil("cut_by")
        if let runtime, try !runtime.texts("formats").contains("png") {
            throw runtime.refused("formats", "lacks png, which this app writes")
        }
        cutting = runtime == nil ? try Cutting(fields, tokens: tokens, multiple: multiple) : nil
    }

    private static func count(_ fields: Fields, _ key: String) throws -> Int {
        let value = try fields.count(key), most = 1 << 16
        guard (1...most).contains(value) else { throw fields.refused(key, "is \(value); 1 to \(most) are allowed") }
        return value
    }

    /// The size that a picture gets before the model looks at it: see `MANIFEST.md`, "Cutting an image".
    public func target(_ picture: Extent) -> Extent {
        let budget = Double(tokens) * Double(multiple) * Double(multiple)
        let factor = (budget / (Double(picture.width) * Double(picture.height))).squareRoot()
        let width = Int((factor * Double(picture.width) / Double(multiple)).rounded(.down))
        let height = Int((factor * Double(picture.height) / Double(multiple)).rounded(.down))
        if height == 0 { return Extent(min(picture.width / picture.height, tokens) * multiple, multiple) }
        if width == 0 { return Extent(multiple, min(picture.height / picture.width, tokens) * multiple) }
        return Extent(width * multiple, height * multiple)
    }

    /// Pixels of the longer side that a picture needs to be no smaller than its target; its own where it is smaller.
    public func longest(_ picture: Extent) -> Int {
        let target = target(picture), longer = max(picture.width, picture.height)
        let factor = max(Double(target.width) / Double(picture.width), Double(target.height) / Double(picture.height))
        return factor >= 1 ? longer : min(longer, Int((factor * Double(longer)).rounded(.up)))
    }
}
