// Views with content of their own.

// A type that is a view by an extension is not bound to the main actor by that.
extension Text: Primitive {
    public func draw(_ page: Page) -> String { "<div>\(escaped(content))</div>" }
}
public struct Text: Equatable, Sendable {
    let content: String
    public init<S: StringProtocol>(_ content: S) { self.content = String(content) }
    public init(verbatim content: String) { self.content = content }
}

extension Image: Primitive {
    public func draw(_ page: Page) -> String { symbol(name) }
}
public struct Image: Equatable, Sendable {
    let name: String
    public init(systemName: String) { name = systemName }
}

public struct Label<Title: View, Icon: View>: Primitive {
    let title: Title
    let icon: Icon

    public init(@ViewBuilder title: () -> Title, @ViewBuilder icon: () -> Icon) {
        self.title = title()
        self.icon = icon()
    }

    public func draw(_ page: Page) -> String {
        box("display:flex;gap:8px;align-items:baseline", icon.draw(page) + title.draw(page))
    }
}

extension Label where Title == Text, Icon == Image {
    public init<S: StringProtocol>(_ title: S, systemImage name: String) {
        self.title = Text(title)
        icon = Image(systemName: name)
    }
}

public struct Button<Label: View>: Primitive {
    let label: Label

    @preconcurrency
    public init(action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> Label) { self.label = label() }

    public func draw(_ page: Page) -> String {
        // Where a symbol stands for the button its words are not seen.
        let shown = (label as? SwiftUI.Label<Text, Image>)?.icon.draw(page) ?? label.draw(page)
        return box("color:var(--Accent)", shown)
    }
}

extension Button where Label == Text {
    @preconcurrency
    public init<S: StringProtocol>(_ title: S, action: @escaping @MainActor () -> Void) { label = Text(title) }
}

extension Button where Label == SwiftUI.Label<Text, Image> {
    @preconcurrency
    public init<S: StringProtocol>(_ title: S, systemImage: String, action: @escaping @MainActor () -> Void) {
        label = SwiftUI.Label(title, systemImage: systemImage)
    }
}

public struct TextField<Label: View>: Primitive {
    let label: Label
    public func draw(_ page: Page) -> String { box("color:var(--Muted)", label.draw(page), wide: true) }
}
extension TextField where Label == Text {
    public init<S: StringProtocol>(_ title: S, text: Binding<String>, axis: Axis) { label = Text(title) }
}

public struct ProgressView<Label: View, CurrentValueLabel: View>: Primitive {
    let label: Label?
    let part: Double?

    public func draw(_ page: Page) -> String {
        guard let part else { return "<div style=\"text-align:center;font-size:28px\">&#9676;</div>" }
        let bar = box("height:4px;border-radius:2px;width:\(part * 100)%;background:var(--Accent)", "")
        return box("display:flex;flex-direction:column;gap:6px;width:100%",
            (label?.draw(page) ?? "") + box("height:4px;border-radius:2px;background:var(--Panel)", bar), wide: true)
    }
}
extension ProgressView where CurrentValueLabel == EmptyView {
    public init() where Label == EmptyView {
        label = nil
        part = nil
    }
    public init<V: BinaryFloatingPoint>(value: V?, total: V = 1.0, @ViewBuilder label: () -> Label) {
        self.label = label()
        part = value.map { Double($0 / total) }
    }
}

public struct LabeledContent<Label, Content> {
    let label: Label
    let content: Content
}
extension LabeledContent: View where Label: View, Content: View {
    public typealias Body = Never
    public var body: Never { fatalError() }
    public func draw(_ page: Page) -> String {
        box("display:flex;flex-wrap:wrap;justify-content:space-between;gap:4px 12px",
            label.draw(page) + box("color:var(--Muted);overflow-wrap:anywhere", content.draw(page)))
    }
}
extension LabeledContent where Label == Text, Content == Text {
    public init<S1: StringProtocol, S2: StringProtocol>(_ title: S1, value: S2) {
        label = Text(title)
        content = Text(value)
    }
}
