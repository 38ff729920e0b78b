// Views that arrange others.

public struct ForEach<Data: RandomAccessCollection, ID: Hashable, Content> {
    let data: Data
    let content: (Data.Element) -> Content
}
extension ForEach: View where Content: View {
    public typealias Body = Never
    public var body: Never { fatalError() }
    public func draw(_ page: Page) -> String { data.map { content($0).draw(page) }.joined() }
}
extension ForEach where ID == Data.Element.ID, Content: View, Data.Element: Identifiable {
    public init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content) {
        self.data = data
        self.content = content
    }
}
extension ForEach where Content: View {
    public init(
        _ data: Data, id: KeyPath<Data.Element, ID>, @ViewBuilder content: @escaping (Data.Element) -> Content
    ) {
        self.data = data
        self.content = content
    }
}

private func flex(_ direction: String, _ align: String, _ spacing: CGFloat?) -> String {
    "display:flex;flex-direction:\(direction);align-items:\(align);gap:\(spacing ?? 8)px;min-width:0"
}

public struct VStack<Content: View>: Primitive {
    let css: String
    let content: Content
    public init(
        alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content
    ) {
        css = flex("column", alignment.css, spacing)
        self.content = content()
    }
    public func draw(_ page: Page) -> String { box(css, content.draw(page)) }
}
public struct HStack<Content: View>: Primitive {
    let css: String
    let content: Content
    public init(
        alignment: VerticalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content
    ) {
        css = flex("row", alignment.css, spacing)
        self.content = content()
    }
    public func draw(_ page: Page) -> String { box(css, content.draw(page)) }
}
public struct LazyVStack<Content: View>: Primitive {
    let css: String
    let content: Content
    public init(
        alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> Content
    ) {
        css = flex("column", alignment.css, spacing) + ";width:100%"
        self.content = content()
    }
    public func draw(_ page: Page) -> String { box(css, content.draw(page)) }
}
public struct Group<Content> {
    let content: Content
}
extension Group: View where Content: View {
    public typealias Body = Never
    public var body: Never { fatalError() }
    public init(@ViewBuilder content: () -> Content) { self.content = content() }
    public func draw(_ page: Page) -> String { content.draw(page) }
}

public struct ScrollView<Content: View>: Primitive {
    let content: Content
    public init(_ axes: Axis.Set = .vertical, @ViewBuilder content: () -> Content) { self.content = content() }
    public func draw(_ page: Page) -> String {
        box("flex:1 1 0;min-height:0;overflow:hidden;display:flex;flex-direction:var(--dir);"
            + "justify-content:var(--anchor)", box("flex:none;margin-bottom:var(--end)", content.draw(page)))
    }
}

public struct List<SelectionValue, Content: View>: Primitive {
    let content: Content
    public func draw(_ page: Page) -> String {
        box("flex:1 1 0;min-height:0;overflow:hidden;background:var(--Grouped);padding:8px 16px", content.draw(page))
    }
}
extension List where SelectionValue == Never {
    public init(@ViewBuilder content: () -> Content) { self.content = content() }
}

public struct Section<Parent, Content, Footer> {
    let title: String
    let content: Content
}
extension Section: View where Parent: View, Content: View, Footer: View {
    public typealias Body = Never
    public var body: Never { fatalError() }
    public func draw(_ page: Page) -> String {
        let look = "padding:14px 16px 6px;color:var(--Muted);font-size:calc(13px*var(--s))"
        let head = title.isEmpty ? "" : box(look, title)
        let rows = box(
            "display:flex;flex-direction:column;gap:14px;padding:12px 16px;border-radius:10px;background:var(--Cell)",
            content.draw(page))
        return head + rows + box("height:12px", "")
    }
}
extension Section where Parent == Text, Content: View, Footer == EmptyView {
    public init<S: StringProtocol>(_ title: S, @ViewBuilder content: () -> Content) {
        self.title = escaped(String(title))
        self.content = content()
    }
}
extension Section where Parent == EmptyView, Content: View, Footer == EmptyView {
    public init(@ViewBuilder content: () -> Content) {
        title = ""
        self.content = content()
    }
}

public struct NavigationStack<Data, Root: View>: Primitive {
    let root: Root
    public func draw(_ page: Page) -> String {
        let inside = root.draw(page)
        let title = "flex:1 1 auto;min-width:0;text-align:center;font-weight:600;white-space:nowrap;overflow:hidden;"
            + "text-overflow:ellipsis;font-size:calc(17px*min(var(--s),1.3))"
        let side = "flex:none;min-width:44px;font-size:calc(20px*min(var(--s),1.3))"
        let bar = box("display:flex;align-items:center;padding:10px 12px;gap:8px",
            box(side, page.leading) + box(title, escaped(page.title)) + box(side + ";text-align:right", page.trailing))
        return box("height:100%;display:flex;flex-direction:column", bar + inside)
    }
}
public struct NavigationPath {}
extension NavigationStack where Data == NavigationPath {
    public init(@ViewBuilder root: () -> Root) { self.root = root() }
}
