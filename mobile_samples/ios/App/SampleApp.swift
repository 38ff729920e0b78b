import GemmaChat
import SwiftUI
import UIKit

/// A chat with a model on this device.
@main
struct SampleApp: App {
    @State private var shown = Shown()

    var body: some Scene {
        WindowGroup {
            RootView(screen: shown.screen, presenter: shown.presenter)
                .task {
                    shown.presenter.start()
                }
                .onChange(of: shown.screen.card) { _, card in
                    // Downloads, checks and tests of large models take longer than a phone stays awake.
                    UIApplication.shared.isIdleTimerDisabled = card?.isBusy ?? false
                    if Launch.isSelfTest, let passed = shown.screen.passed { exit(passed ? 0 : 1) }
                }
        }
    }
}
