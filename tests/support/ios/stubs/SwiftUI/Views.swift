// The few of SwiftUI's types that the sample uses, with the signatures of iOS 18 as documented: for the type checker,
// and for a preview, which draws them roughly as HTML.
@_exported import Foundation
@_exported import UIKit

@MainActor @preconcurrency
public protocol View {
    associatedtype Body: View
    @ViewBuilder @MainActor @preconcurrency var body: Self.Body { get }

    /// Not of SwiftUI: HTML of the view, for the preview.
    func draw(_ page: Page) -> String
}

extension View {
    public func draw(_ page: Page) -> String { body.draw(page) }
}

extension Never: View {
    public var body: Never { fatalError() }
    public func draw(_ page: Page) -> String { "" }
}

/// A view that has no body of its own.
public protocol Primitive: View where Body == Never {}

extension Primitive {
    public var body: Never { fatalError() }
}

extension Optional: View where Wrapped: View {
    public typealias Body = Never
    public var body: Never { fatalError() }
    public func draw(_ page: Page) -> String { self?.draw(page) ?? "" }
}

public struct EmptyView: Primitive {
    public nonisolated init() {}
    public func draw(_ page: Page) -> String { "" }
}
// A type that conforms by an extension is not bound to the main actor by that.
public struct TupleView<T> {
    let parts: [any View]
}
extension TupleView: Primitive {
    public func draw(_ page: Page) -> String { parts.map { $0.draw(page) }.joined() }
}
public struct _ConditionalContent<TrueContent, FalseContent> {
    let first: TrueContent?
    let second: FalseContent?
}
extension _ConditionalContent: View where TrueContent: View, FalseContent: View {
    public typealias Body = Never
    public var body: Never { fatalError() }
    public func draw(_ page: Page) -> String { first?.draw(page) ?? second?.draw(page) ?? "" }
}

@resultBuilder
public struct ViewBuilder {
    public static func buildExpression<Content: View>(_ content: Content) -> Content { content }
    public static func buildBlock() -> EmptyView { EmptyView() }
    public static func buildBlock<Content: View>(_ content: Content) -> Content { content }
    public static func buildBlock<each Content: View>(
        _ content: repeat each Content
    ) -> TupleView<(repeat each Content)> {
        var parts: [any View] = []
        repeat parts.append(each content)
        return TupleView(parts: parts)
    }
    public static func buildIf<Content: View>(_ content: Content?) -> Content? { content }
    public static func buildEither<T: View, F: View>(first: T) -> _ConditionalContent<T, F> {
        _ConditionalContent(first: first, second: nil)
    }
    public static func buildEither<T: View, F: View>(second: F) -> _ConditionalContent<T, F> {
        _ConditionalContent(first: nil, second: second)
    }
    public static func buildLimitedAvailability<Content: View>(_ content: Content) -> Content { content }
}

