@propertyWrapper
public struct State<Value> {
    let value: Value
    public init(wrappedValue value: Value) { self.value = value }
    public var wrappedValue: Value { get { value } nonmutating set {} }
    public var projectedValue: Binding<Value> { Binding(get: { value }, set: { _ in }) }
}
extension State: Sendable where Value: Sendable {}

@propertyWrapper
public struct Binding<Value> {
    let get: () -> Value
    public init(get: @escaping () -> Value, set: @escaping (Value) -> Void) { self.get = get }
    public var wrappedValue: Value { get { get() } nonmutating set {} }
    public var projectedValue: Binding<Value> { self }
}

@propertyWrapper
public struct FocusState<Value: Hashable> {
    public struct Binding {}
    public init() where Value == Bool {}
    public var wrappedValue: Value { get { fatalError() } nonmutating set {} }
    public var projectedValue: FocusState<Value>.Binding { Binding() }
}

public struct EnvironmentValues: Sendable {
    public var dismiss: DismissAction { DismissAction() }
}

@MainActor @preconcurrency
public struct DismissAction {
    nonisolated init() {}
    public func callAsFunction() {}
}

@propertyWrapper
public struct Environment<Value> {
    let keyPath: KeyPath<EnvironmentValues, Value>
    public init(_ keyPath: KeyPath<EnvironmentValues, Value>) { self.keyPath = keyPath }
    public var wrappedValue: Value { EnvironmentValues()[keyPath: keyPath] }
}

@MainActor @preconcurrency
public protocol Scene {
    associatedtype Body: Scene
    @SceneBuilder var body: Self.Body { get }
}
extension Never: Scene {}

@resultBuilder
public struct SceneBuilder {
    public static func buildExpression<Content: Scene>(_ content: Content) -> Content { content }
    public static func buildBlock<Content: Scene>(_ content: Content) -> Content { content }
}

public struct WindowGroup<Content: View>: Scene {
    public init(@ViewBuilder content: () -> Content) {}
    public var body: Never { fatalError() }
}

@MainActor @preconcurrency
public protocol App {
    associatedtype Body: Scene
    @SceneBuilder var body: Self.Body { get }
    init()
}
extension App {
    public static func main() {}
}

@MainActor @preconcurrency
public protocol ToolbarContent {
    associatedtype Body: ToolbarContent
    @ToolbarContentBuilder var body: Self.Body { get }

    /// Not of SwiftUI: adds itself to the page's bar.
    func add(to page: Page)
}
extension ToolbarContent {
    public func add(to page: Page) {}
}
extension Never: ToolbarContent {}

/// Some items.
struct Items {
    let parts: [any ToolbarContent]
}
extension Items: ToolbarContent {
    var body: Never { fatalError() }
    func add(to page: Page) {
        for part in parts { part.add(to: page) }
    }
}

@resultBuilder
public struct ToolbarContentBuilder {
    public static func buildExpression<Content: ToolbarContent>(_ content: Content) -> Content { content }
    public static func buildBlock<Content: ToolbarContent>(_ content: Content) -> Content { content }
    public static func buildBlock<C0: ToolbarContent, C1: ToolbarContent>(_ c0: C0, _ c1: C1) -> some ToolbarContent {
        Items(parts: [c0, c1])
    }
}

public struct ToolbarItemPlacement: Sendable {
    let leads: Bool
    public static let topBarLeading = ToolbarItemPlacement(leads: true)
    public static let topBarTrailing = ToolbarItemPlacement(leads: false)
    public static let confirmationAction = ToolbarItemPlacement(leads: false)
}

public struct ToolbarItem<ID, Content: View>: ToolbarContent {
    let placement: ToolbarItemPlacement
    let content: Content
    public var body: Never { fatalError() }
    public func add(to page: Page) {
        if placement.leads { page.leading = content.draw(page) } else { page.trailing = content.draw(page) }
    }
}
extension ToolbarItem where ID == () {
    public init(placement: ToolbarItemPlacement, @ViewBuilder content: () -> Content) {
        self.placement = placement
        self.content = content()
    }
}

/// As `NavigationBarItem.TitleDisplayMode`.
public struct NavigationBarItem: Sendable {
    public enum TitleDisplayMode: Sendable { case automatic, inline, large }
}
