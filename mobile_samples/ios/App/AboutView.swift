import GemmaChat
import GemmaCore
import SwiftUI

/// What the model is and what was proven of it.
struct AboutView: View {
    let screen: Screen
    let testAgain: @MainActor () -> Void
    @Environment(\.dismiss) private var dismiss

    var body: some View {
        NavigationStack {
            List {
                if let about = screen.about {
                    Section(Words.model) {
                        LabeledContent(Words.name, value: about.name)
                        LabeledContent(Words.source, value: about.source)
                        LabeledContent(Words.licence, value: about.licence)
                    }
                    Section(Words.proven) {
                        ForEach(about.rungs, id: \.name) { RungView(rung: $0) }
                    }
                }
                Section(Words.thisDevice) {
                    if let result = screen.result { ResultView(result: result) }
                    Button(Words.testAgain, action: testAgain)
                        .disabled(screen.card?.isBusy ?? false)
                }
                Section {
                    Text(Words.privacy)
                        .foregroundStyle(Theme.muted)
                }
            }
            .navigationTitle(Words.about)
            .navigationBarTitleDisplayMode(.inline)
            .toolbar {
                ToolbarItem(placement: .confirmationAction) {
                    Button(Words.done) { dismiss() }
                }
            }
        }
    }
}

/// A question that was asked on a desktop before the bundle was published, and its answer.
private struct RungView: View {
    let rung: Rung

    var body: some View {
        let passed = rung.verdict == "pass"
        Label {
            VStack(alignment: .leading, spacing: 2) {
                Text(rung.question)
                Text(passed ? Words.passed : rung.verdict)
                    .font(.footnote)
                    .foregroundStyle(Theme.muted)
            }
        } icon: {
            Image(systemName: passed ? "checkmark.circle" : "minus.circle")
                .foregroundStyle(passed ? Theme.passed : Theme.muted)
        }
        .accessibilityElement(children: .combine)
    }
}
