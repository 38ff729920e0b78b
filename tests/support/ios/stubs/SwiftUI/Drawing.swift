import Foundation

/// What is collected while a page is drawn: a bar of navigation takes its title and buttons from inside.
@MainActor
public final class Page {
    var title = ""
    var leading = "", trailing = ""
    public init() {}
}

/// As CSS of a box.
func box(_ css: String, _ inside: String, wide: Bool = false) -> String {
    "<div\(wide ? " class=wide" : "") style=\"\(css)\">\(inside)</div>"
}

func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
        .replacingOccurrences(of: ">", with: "&gt;").replacingOccurrences(of: "\n", with: "<br>")
}

/// A view with CSS around it.
struct Styled<Content: View>: Primitive {
    let content: Content
    let css: String
    /// Takes all the width there is, and so does everything around it.
    var wide = false

    func draw(_ page: Page) -> String { box(css, content.draw(page), wide: wide) }
}

extension View {
    func styled(_ css: String) -> Styled<Self> { Styled(content: self, css: css) }
}

/// A view that is drawn by a function of the page.
struct Drawn: Primitive {
    let make: @MainActor (Page) -> String

    func draw(_ page: Page) -> String { make(page) }
}

/// Nearest signs of SF Symbols; a filled circle with a sign in it where the symbol is one.
func symbol(_ name: String) -> String {
    let signs = [
        "info.circle": "i", "square.and.pencil": "&#9998;", "stop.circle.fill": "&#9632;",
        "arrow.up.circle.fill": "&#8593;", "checkmark.seal": "&#10004;", "questionmark.circle": "?",
        "checkmark.circle": "&#10003;", "minus.circle": "&#8722;",
        "photo.circle": "&#9635;", "xmark.circle": "&#10005;",
    ]
    let sign = signs[name] ?? "&#9633;"
    guard name.contains("circle") else { return "<span>\(sign)</span>" }
    let ring = name.hasSuffix("fill")
        ? "background:currentColor" : "border:1px solid currentColor"
    let ink = name.hasSuffix("fill") ? "color:var(--Page)" : ""
    return "<span style=\"display:inline-flex;width:1.15em;height:1.15em;border-radius:50%;align-items:center;"
        + "flex:none;justify-content:center;\(ring)\"><span style=\"font-size:0.7em;\(ink)\">\(sign)</span></span>"
}
