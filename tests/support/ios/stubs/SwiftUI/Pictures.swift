// Pictures, menus and views of UIKit.

/// What stands for every picture in a preview: hills under a sun.
private let scene = """
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 3" style="display:block;width:100%">\
    <rect width="4" height="3" fill="#bfe3ff"/><circle cx="3" cy=".8" r=".4" fill="#ffd75e"/>\
    <path d="M0 3V2l1.2-1 1.3 1.2.6-.5L4 2.4V3z" fill="#4f8a4a"/></svg>
    """

extension Image {
    public enum ResizingMode: Sendable { case tile, stretch }

    public init(uiImage: UIImage) { self.init(systemName: "") }
    public func resizable(resizingMode: ResizingMode = .stretch) -> Image { self }
}

extension View {
    /// A picture, whose size is that of the frame around it.
    public func scaledToFit() -> some View { Drawn { _ in box("width:100%;overflow:hidden", scene, wide: true) } }
    public func clipShape<S: Shape>(_ shape: S) -> some View {
        styled("border-radius:\(shape.radius)px;overflow:hidden;width:100%")
    }
    public func accessibilityHidden(_ hidden: Bool) -> some View { self }
    public func fullScreenCover<Content: View>(
        isPresented: Binding<Bool>, onDismiss: (() -> Void)? = nil, @ViewBuilder content: @escaping () -> Content
    ) -> some View { self }
}

public struct Menu<Label: View, Content: View>: Primitive {
    let label: Label
    public init(@ViewBuilder content: () -> Content, @ViewBuilder label: () -> Label) { self.label = label() }
    public func draw(_ page: Page) -> String { box("color:var(--Accent)", label.draw(page)) }
}

@MainActor @preconcurrency
public protocol UIViewControllerRepresentable: View where Body == Never {
    associatedtype UIViewControllerType: UIViewController
    associatedtype Coordinator = Void
    typealias Context = UIViewControllerRepresentableContext<Self>

    func makeUIViewController(context: Context) -> UIViewControllerType
    func updateUIViewController(_ uiViewController: UIViewControllerType, context: Context)
    func makeCoordinator() -> Coordinator
}
extension UIViewControllerRepresentable {
    public var body: Never { fatalError() }
    public func draw(_ page: Page) -> String { "" }
}

@MainActor @preconcurrency
public struct UIViewControllerRepresentableContext<Representable: UIViewControllerRepresentable> {
    public let coordinator: Representable.Coordinator
}
