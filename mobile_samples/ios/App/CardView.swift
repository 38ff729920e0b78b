import GemmaChat
import SwiftUI

/// Everything that is not the chat: what is going on, what is missing, what went wrong and what can be done.
struct CardView: View {
    let name: String
    let card: Card
    let act: @MainActor (Action) -> Void

    var body: some View {
        ScrollView {
            VStack(alignment: .leading, spacing: 12) {
                Text(Words.title(card))
                    .font(.title2.bold())
                    .foregroundStyle(card.isFailure ? Theme.failed : .primary)
                    .accessibilityAddTraits(.isHeader)
                paragraph
                if case .busy(let work, let done, let total) = card { Bar(work: work, done: done, total: total) }
                VStack(spacing: 10) {
                    ForEach(Array(card.actions.enumerated()), id: \.element) { index, action in
                        if index == 0, action != .cancel {
                            Button(Words.action(action)) { act(action) }.buttonStyle(FilledButton())
                        } else {
                            Button(Words.action(action)) { act(action) }.buttonStyle(QuietButton())
                        }
                    }
                }
                .padding(.top, 8)
            }
            .padding(20)
            .frame(maxWidth: 640, alignment: .leading)
            .frame(maxWidth: .infinity)
        }
        .defaultScrollAnchor(.center, for: .alignment)
        .scrollBounceBehavior(.basedOnSize)
    }

    @ViewBuilder private var paragraph: some View {
        let text = Words.text(name, card)
        if !text.isEmpty { Text(text) }
        if !card.detail.isEmpty {
            Text(card.detail)
                .font(.footnote)
                .foregroundStyle(Theme.muted)
                .textSelection(.enabled)
        }
    }
}

/// How far work has come; how long it takes is not known before the first step.
private struct Bar: View {
    let work: Work
    let done: Int64
    let total: Int64

    var body: some View {
        if total > 0 {
            ProgressView(value: Double(done), total: Double(total)) {
                Text(Words.progress(work, done, total))
                    .font(.footnote)
                    .foregroundStyle(Theme.muted)
                    .monospacedDigit()
            }
            .accessibilityLabel(Words.title(work))
        } else {
            ProgressView()
                .frame(maxWidth: .infinity)
                .accessibilityLabel(Words.title(work))
        }
    }
}
