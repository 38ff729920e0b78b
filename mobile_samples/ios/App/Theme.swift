import SwiftUI

/// The colours of the asset catalog; each has a light and a dark value.
enum Theme {
    static let accent = Color("Accent")
    static let onAccent = Color("OnAccent")
    static let panel = Color("Panel")
    static let muted = Color("Muted")
    static let passed = Color("Passed")
    static let failed = Color("Failed")
}

/// The first choice on a card.
struct FilledButton: ButtonStyle {
    func makeBody(configuration: Configuration) -> some View {
        configuration.label
            .font(.headline)
            .foregroundStyle(Theme.onAccent)
            .frame(maxWidth: .infinity, minHeight: 28)
            .padding(.vertical, 10)
            .padding(.horizontal, 16)
            .background(Theme.accent, in: .rect(cornerRadius: 14))
            .opacity(configuration.isPressed ? 0.7 : 1)
    }
}

/// Every other choice.
struct QuietButton: ButtonStyle {
    func makeBody(configuration: Configuration) -> some View {
        configuration.label
            .font(.headline)
            .foregroundStyle(Theme.accent)
            .frame(maxWidth: .infinity, minHeight: 28)
            .padding(.vertical, 10)
            .padding(.horizontal, 16)
            .background(Theme.panel, in: .rect(cornerRadius: 14))
            .opacity(configuration.isPressed ? 0.7 : 1)
    }
}
