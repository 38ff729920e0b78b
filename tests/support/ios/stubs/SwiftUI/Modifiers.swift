import UniformTypeIdentifiers

extension View {
    public func navigationTitle<S: StringProtocol>(_ title: S) -> some View {
        Drawn { page in
            page.title = String(title)
            return draw(page)
        }
    }
    public func navigationBarTitleDisplayMode(_ mode: NavigationBarItem.TitleDisplayMode) -> some View { self }
    public func toolbar<Content: ToolbarContent>(@ToolbarContentBuilder content: () -> Content) -> some View {
        let items = content()
        return Drawn { page in
            items.add(to: page)
            return draw(page)
        }
    }
    public func tint(_ tint: Color?) -> some View { self }
    public func fileImporter(
        isPresented: Binding<Bool>, allowedContentTypes: [UTType],
        onCompletion: @escaping (_ result: Result<URL, any Error>) -> Void
    ) -> some View { self }
    public func sheet<Content: View>(
        isPresented: Binding<Bool>, onDismiss: (() -> Void)? = nil, @ViewBuilder content: @escaping () -> Content
    ) -> some View { self }
    public func onChange<V: Equatable>(
        of value: V, initial: Bool = false, _ action: @escaping (_ oldValue: V, _ newValue: V) -> Void
    ) -> some View { self }
    public func onAppear(perform action: (() -> Void)? = nil) -> some View { self }
    @preconcurrency
    public func task(
        priority: TaskPriority = .userInitiated,
        @_inheritActorContext _ action: sending @escaping @isolated(any) () async -> Void
    ) -> some View { self }

    public func font(_ font: Font?) -> some View {
        let css = font.map { "font-size:calc(\($0.points)px*var(--s));font-weight:\($0.weight)" } ?? ""
        return styled(css)
    }
    public func monospacedDigit() -> some View { self }
    public func lineLimit(_ limit: ClosedRange<Int>) -> some View { self }
    public func multilineTextAlignment(_ alignment: TextAlignment) -> some View { styled("text-align:\(alignment)") }
    public func textSelection<S: TextSelectability>(_ selectability: S) -> some View { self }
    public func foregroundStyle<S: ShapeStyle>(_ style: S) -> some View { styled("color:\(style.css)") }
    public func background<S: ShapeStyle>(_ style: S, ignoresSafeAreaEdges edges: Edge.Set = .all) -> some View {
        styled("background:\(style.css)")
    }
    public func background<S: ShapeStyle, T: InsettableShape>(_ style: S, in shape: T) -> some View {
        styled("background:\(style.css);border-radius:\(shape.radius)px;overflow-wrap:anywhere;min-width:0")
    }
    public func opacity(_ opacity: Double) -> some View { styled("opacity:\(opacity)") }
    public func disabled(_ disabled: Bool) -> some View { styled(disabled ? "opacity:0.4" : "") }
    public func focused(_ condition: FocusState<Bool>.Binding) -> some View { self }

    public func padding(_ edges: Edge.Set = .all, _ length: CGFloat? = nil) -> some View {
        let sides: [(Edge.Set, String)] = [(.top, "top"), (.bottom, "bottom"), (.leading, "left"), (.trailing, "right")]
        let css = sides.filter { edges.contains($0.0) }.map { "padding-\($0.1):\(length ?? 16)px" }
        return styled((css + ["min-width:0"]).joined(separator: ";"))
    }
    public func padding(_ length: CGFloat) -> some View { styled("padding:\(length)px") }
    public func frame(
        minWidth: CGFloat? = nil, idealWidth: CGFloat? = nil, maxWidth: CGFloat? = nil, minHeight: CGFloat? = nil,
        idealHeight: CGFloat? = nil, maxHeight: CGFloat? = nil, alignment: Alignment = .center
    ) -> some View {
        var css = "display:flex;justify-content:\(alignment.css)"
        css += ";min-width:\(minWidth ?? 0)px;min-height:\(minHeight ?? 0)px"
        if let maxWidth, maxWidth.isFinite { css += ";max-width:\(maxWidth)px;width:100%" }
        if minHeight != nil { css += ";align-items:center" }
        return Styled(content: self, css: css, wide: maxWidth == .infinity)
    }

    public func buttonStyle<S: ButtonStyle>(_ style: S) -> some View {
        Drawn { page in
            let plain = draw(page).replacingOccurrences(of: "color:var(--Accent)", with: "")
            let configuration = ButtonStyleConfiguration(label: .init(html: plain), isPressed: false)
            return box("width:100%", style.makeBody(configuration: configuration).draw(page))
        }
    }
    public func labelStyle<S: LabelStyle>(_ style: S) -> some View {
        Drawn { page in (self as? Label<Text, Image>)?.icon.draw(page) ?? draw(page) }
    }
    public func defaultScrollAnchor(_ anchor: UnitPoint?, for role: ScrollAnchorRole) -> some View {
        styled("display:contents;" + (anchor.map(role.css) ?? ""))
    }
    public func scrollBounceBehavior(_ behavior: ScrollBounceBehavior, axes: Axis.Set = [.vertical]) -> some View {
        self
    }
    public func scrollDismissesKeyboard(_ mode: ScrollDismissesKeyboardMode) -> some View { self }
    public func safeAreaInset<V: View>(
        edge: VerticalEdge, alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil,
        @ViewBuilder content: () -> V
    ) -> some View {
        let inset = content()
        return Drawn { page in
            let parts = draw(page) + box("flex:none", inset.draw(page))
            return box("flex:1 1 0;min-height:0;display:flex;flex-direction:column", parts)
        }
    }

    public func accessibilityLabel<S: StringProtocol>(_ label: S) -> some View { self }
    public func accessibilityValue<S: StringProtocol>(_ value: S) -> some View { self }
    public func accessibilityAddTraits(_ traits: AccessibilityTraits) -> some View { self }
    public func accessibilityElement(children: AccessibilityChildBehavior = .ignore) -> some View { self }
}
