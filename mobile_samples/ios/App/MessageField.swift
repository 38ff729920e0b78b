import GemmaChat
import SwiftUI

/// Where people write, what goes with the message, and the button that sends or stops.
struct MessageField: View {
    let screen: Screen
    let presenter: Presenter
    @State private var text = ""
    @FocusState private var focused: Bool

    var body: some View {
        VStack(spacing: 0) {
            if screen.picture != nil || screen.pictureTrouble != nil || screen.readsPicture {
                Attached(screen: screen, detach: presenter.detach)
                    .padding(.top, 8)
            }
            row
        }
        .background(.bar)
        .onAppear { take(screen.draft) }
        .onChange(of: screen.draft) { _, now in take(now) }
    }

    private var row: some View {
        HStack(alignment: .bottom, spacing: 8) {
            if screen.pictures { AddPicture(attach: presenter.attach) }
            TextField(Words.hint, text: $text, axis: .vertical)
                .lineLimit(1...5)
                .focused($focused)
                .padding(.horizontal, 14)
                .padding(.vertical, 10)
                .background(Theme.panel, in: .rect(cornerRadius: 20))
            if screen.answering {
                Button(Words.stop, systemImage: "stop.circle.fill", action: presenter.stop)
                    .labelStyle(.iconOnly)
                    .font(.largeTitle)
                    .frame(minWidth: 44, minHeight: 44)
            } else {
                Button(Words.send, systemImage: "arrow.up.circle.fill", action: submit)
                    .labelStyle(.iconOnly)
                    .font(.largeTitle)
                    .frame(minWidth: 44, minHeight: 44)
                    .disabled(isEmpty || screen.readsPicture)
            }
        }
        .padding(.horizontal, 12)
        .padding(.vertical, 8)
    }

    private var isEmpty: Bool { screen.picture == nil && text.allSatisfy(\.isWhitespace) }

    /// A message that was not answered comes back.
    private func take(_ draft: String) {
        if !draft.isEmpty { text = draft }
    }

    private func submit() {
        guard !isEmpty, !screen.readsPicture else { return }
        let message = text.trimmingCharacters(in: .whitespacesAndNewlines)
        text = ""
        presenter.send(message)
    }
}
