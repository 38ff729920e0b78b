import GemmaChat
import SwiftUI

/// Where people write, and the button that sends or stops.
struct MessageField: View {
    let draft: String
    let answering: Bool
    let send: @MainActor (String) -> Void
    let stop: @MainActor () -> Void
    @State private var text = ""
    @FocusState private var focused: Bool

    var body: some View {
        HStack(alignment: .bottom, spacing: 8) {
            TextField(Words.hint, text: $text, axis: .vertical)
                .lineLimit(1...5)
                .focused($focused)
                .padding(.horizontal, 14)
                .padding(.vertical, 10)
                .background(Theme.panel, in: .rect(cornerRadius: 20))
            if answering {
                Button(Words.stop, systemImage: "stop.circle.fill", action: stop)
                    .labelStyle(.iconOnly)
                    .font(.largeTitle)
                    .frame(minWidth: 44, minHeight: 44)
            } else {
                Button(Words.send, systemImage: "arrow.up.circle.fill", action: submit)
                    .labelStyle(.iconOnly)
                    .font(.largeTitle)
                    .frame(minWidth: 44, minHeight: 44)
                    .disabled(isEmpty)
            }
        }
        .padding(.horizontal, 12)
        .padding(.vertical, 8)
        .background(.bar)
        .onAppear { take(draft) }
        .onChange(of: draft) { _, now in take(now) }
    }

    private var isEmpty: Bool { text.allSatisfy(\.isWhitespace) }

    /// A message that was not answered comes back.
    private func take(_ draft: String) {
        if !draft.isEmpty { text = draft }
    }

    private func submit() {
        let message = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !message.isEmpty else { return }
        text = ""
        send(message)
    }
}
