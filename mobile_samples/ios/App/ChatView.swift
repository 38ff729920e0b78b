import Accessibility
import GemmaChat
import SwiftUI

/// The conversation, the self-test's verdict above it and the field below.
struct ChatView: View {
    let screen: Screen
    let presenter: Presenter

    var body: some View {
        ScrollView {
            LazyVStack(spacing: 14) {
                if let result = screen.result { ResultView(result: result) }
                if screen.messages.isEmpty {
                    Text(Words.emptyChat)
                        .foregroundStyle(Theme.muted)
                        .multilineTextAlignment(.center)
                        .padding(.vertical, 40)
                }
                ForEach(screen.messages) { BubbleView(message: $0) }
            }
            .padding(16)
        }
        .defaultScrollAnchor(.bottom, for: .initialOffset)
        .defaultScrollAnchor(.bottom, for: .sizeChanges)
        .scrollDismissesKeyboard(.interactively)
        .safeAreaInset(edge: .bottom) {
            MessageField(screen: screen, presenter: presenter)
        }
        .onChange(of: screen.answering) { before, now in
            // An answer is read out once and whole; word by word nobody could follow it.
            guard before, !now, let last = screen.messages.last else { return }
            AccessibilityNotification.Announcement(Words.said(last)).post()
        }
    }
}

/// One message: who said it shows the side, the colour and, to those who see neither, a word.
struct BubbleView: View {
    let message: Message

    var body: some View {
        let note = Words.note(message)
        VStack(alignment: message.mine ? .trailing : .leading, spacing: 4) {
            if let picture = message.picture {
                PictureView(picture: picture)
                    .frame(maxWidth: 220, maxHeight: 220, alignment: .trailing)
            }
            if message.picture == nil || !message.text.isEmpty {
                Text(message.text.isEmpty ? Words.waiting : message.text)
                    .padding(.horizontal, 14)
                    .padding(.vertical, 9)
                    .foregroundStyle(message.mine ? Theme.onAccent : .primary)
                    .background(message.mine ? Theme.accent : Theme.panel, in: .rect(cornerRadius: 18))
                    .textSelection(.enabled)
            }
            if !note.isEmpty {
                Text(note)
                    .font(.footnote)
                    .foregroundStyle(Theme.muted)
                    .padding(.horizontal, 14)
            }
        }
        .frame(maxWidth: .infinity, alignment: message.mine ? .trailing : .leading)
        .padding(message.mine ? .leading : .trailing, 24)
        .accessibilityElement(children: .ignore)
        .accessibilityLabel(Words.said(message))
        .accessibilityValue(note)
    }
}

/// What the self-test on this device said.
struct ResultView: View {
    let result: TestResult

    var body: some View {
        let good = result.compared > 0
        VStack(alignment: .leading, spacing: 4) {
            Label(Words.result(result), systemImage: good ? "checkmark.seal" : "questionmark.circle")
                .foregroundStyle(good ? Theme.passed : Theme.muted)
            Text(Words.compared(result))
                .foregroundStyle(Theme.muted)
            ForEach(result.left, id: \.backend) { left in
                Text(Words.left(left))
                    .foregroundStyle(Theme.muted)
            }
        }
        .font(.footnote)
        .frame(maxWidth: .infinity, alignment: .leading)
        .accessibilityElement(children: .combine)
    }
}
