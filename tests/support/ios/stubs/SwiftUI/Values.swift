public enum Axis: Int8, CaseIterable, Sendable {
    case horizontal, vertical

    public struct Set: OptionSet, Sendable {
        public let rawValue: Int8
        public init(rawValue: Int8) { self.rawValue = rawValue }
        public static let horizontal = Set(rawValue: 1), vertical = Set(rawValue: 2)
    }
}

public enum Edge: Int8, CaseIterable, Sendable {
    case top, leading, bottom, trailing

    public struct Set: OptionSet, Sendable {
        public let rawValue: Int8
        public init(rawValue: Int8) { self.rawValue = rawValue }
        public static let top = Set(rawValue: 1), leading = Set(rawValue: 2), bottom = Set(rawValue: 4)
        public static let trailing = Set(rawValue: 8)
        public static let all: Set = [.top, .leading, .bottom, .trailing]
        public static let horizontal: Set = [.leading, .trailing], vertical: Set = [.top, .bottom]
    }
}

public enum VerticalEdge: Int8, Sendable { case top, bottom }

/// In the words of CSS.
public struct HorizontalAlignment: Equatable, Sendable {
    let css: String
    public static let leading = HorizontalAlignment(css: "flex-start"), center = HorizontalAlignment(css: "center")
    public static let trailing = HorizontalAlignment(css: "flex-end")
}
public struct VerticalAlignment: Equatable, Sendable {
    let css: String
    public static let top = VerticalAlignment(css: "flex-start"), center = VerticalAlignment(css: "center")
    public static let bottom = VerticalAlignment(css: "flex-end")
}
public struct Alignment: Equatable, Sendable {
    let css: String
    public static let center = Alignment(css: "center"), leading = Alignment(css: "flex-start")
    public static let trailing = Alignment(css: "flex-end")
}
public struct ScrollAnchorRole: Hashable, Sendable {
    let css: @Sendable (UnitPoint) -> String
    public static let initialOffset = ScrollAnchorRole { $0 == .bottom ? "--dir:column-reverse;--end:auto" : "" }
    public static let sizeChanges = ScrollAnchorRole { _ in "" }
    public static let alignment = ScrollAnchorRole { "--anchor:safe \($0.css)" }

    private let name: String
    private init(_ css: @escaping @Sendable (UnitPoint) -> String) {
        self.css = css
        name = css(.bottom)
    }
    public static func == (a: Self, b: Self) -> Bool { a.name == b.name }
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}
public enum TextAlignment: String, Sendable { case leading, center, trailing }
public struct UnitPoint: Hashable, Sendable {
    let css: String
    public static let top = UnitPoint(css: "flex-start"), center = UnitPoint(css: "center")
    public static let bottom = UnitPoint(css: "flex-end")
}

public protocol ShapeStyle: Sendable {
    var css: String { get }
}
extension Color: Primitive {}
public struct Color: ShapeStyle, Hashable {
    public let css: String
    public init(_ name: String, bundle: Bundle? = nil) { css = "var(--\(name))" }
    public static let primary = Color("Ink"), secondary = Color("Muted")
}
public struct Material: ShapeStyle {
    public var css: String { "var(--Page)" }
}
extension ShapeStyle where Self == Material {
    public static var bar: Material { Material() }
}
public struct HierarchicalShapeStyle: ShapeStyle {
    public var css: String { "var(--Ink)" }
}
extension ShapeStyle where Self == HierarchicalShapeStyle {
    public static var primary: HierarchicalShapeStyle { HierarchicalShapeStyle() }
    public static var secondary: HierarchicalShapeStyle { HierarchicalShapeStyle() }
}

public enum RoundedCornerStyle: Sendable { case circular, continuous }
public protocol Shape: Sendable, View {
    nonisolated var radius: CGFloat { get }
}
public protocol InsettableShape: Shape {}
public struct RoundedRectangle: InsettableShape {
    public let radius: CGFloat
}
extension RoundedRectangle: Primitive {}
extension Shape where Self == RoundedRectangle {
    public static func rect(cornerRadius: CGFloat, style: RoundedCornerStyle = .continuous) -> Self {
        RoundedRectangle(radius: cornerRadius)
    }
}

/// Sizes of the text styles at the standard size, in points.
public struct Font: Hashable, Sendable {
    let points: Int
    let weight: Int
    public static let largeTitle = Font(points: 34, weight: 400), title = Font(points: 28, weight: 400)
    public static let title2 = Font(points: 22, weight: 400), headline = Font(points: 17, weight: 600)
    public static let body = Font(points: 17, weight: 400), callout = Font(points: 16, weight: 400)
    public static let footnote = Font(points: 13, weight: 400)
    public func bold() -> Font { Font(points: points, weight: 700) }
}

public struct AccessibilityTraits: SetAlgebra, Sendable {
    public static let isHeader = AccessibilityTraits(), updatesFrequently = AccessibilityTraits()
    public init() {}
    public func contains(_ member: AccessibilityTraits) -> Bool { true }
    public func union(_ other: Self) -> Self { self }
    public func intersection(_ other: Self) -> Self { self }
    public func symmetricDifference(_ other: Self) -> Self { self }
    public mutating func insert(_ m: Self) -> (inserted: Bool, memberAfterInsert: Self) { (true, self) }
    public mutating func remove(_ m: Self) -> Self? { nil }
    public mutating func update(with m: Self) -> Self? { nil }
    public mutating func formUnion(_ other: Self) {}
    public mutating func formIntersection(_ other: Self) {}
    public mutating func formSymmetricDifference(_ other: Self) {}
    public typealias Element = AccessibilityTraits
}
public struct AccessibilityChildBehavior: Hashable, Sendable {
    public static let ignore = AccessibilityChildBehavior(), combine = AccessibilityChildBehavior()
    public static let contain = AccessibilityChildBehavior()
}

public struct ScrollBounceBehavior: Sendable {
    public static var basedOnSize: ScrollBounceBehavior { ScrollBounceBehavior() }
}
public struct ScrollDismissesKeyboardMode: Sendable {
    public static var interactively: ScrollDismissesKeyboardMode { ScrollDismissesKeyboardMode() }
}

public protocol TextSelectability {}
public struct EnabledTextSelectability: TextSelectability {}
extension TextSelectability where Self == EnabledTextSelectability {
    public static var enabled: EnabledTextSelectability { EnabledTextSelectability() }
}

@MainActor @preconcurrency
public protocol ButtonStyle {
    associatedtype Body: View
    @ViewBuilder func makeBody(configuration: Self.Configuration) -> Self.Body
    typealias Configuration = ButtonStyleConfiguration
}
public struct ButtonStyleConfiguration {
    public struct Label: Primitive {
        let html: String
        public func draw(_ page: Page) -> String { html }
    }
    public let label: ButtonStyleConfiguration.Label
    public let isPressed: Bool
}

@MainActor @preconcurrency
public protocol LabelStyle {}
public struct IconOnlyLabelStyle: LabelStyle { public nonisolated init() {} }
extension LabelStyle where Self == IconOnlyLabelStyle {
    @MainActor @preconcurrency public static var iconOnly: IconOnlyLabelStyle { IconOnlyLabelStyle() }
}
