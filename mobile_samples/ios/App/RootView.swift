import Accessibility
import GemmaChat
import SwiftUI
import UniformTypeIdentifiers

/// The only window: a chat, or the card that stands in its place.
struct RootView: View {
    let screen: Screen
    let presenter: Presenter
    @State private var showsAbout = false
    @State private var choosesFolder = false

    var body: some View {
        NavigationStack {
            Group {
                if let card = screen.cover {
                    CardView(name: screen.about?.name ?? "", card: card, act: act)
                } else {
                    ChatView(screen: screen, presenter: presenter)
                }
            }
            .navigationTitle(screen.about?.name ?? Words.appName)
            .navigationBarTitleDisplayMode(.inline)
            .toolbar {
                ToolbarItem(placement: .topBarLeading) {
                    Button(Words.about, systemImage: "info.circle") { showsAbout = true }
                }
                ToolbarItem(placement: .topBarTrailing) {
                    Button(Words.newChat, systemImage: "square.and.pencil", action: presenter.newChat)
                        .disabled(screen.cover != nil || screen.messages.isEmpty)
                }
            }
        }
        .tint(Theme.accent)
        .fileImporter(isPresented: $choosesFolder, allowedContentTypes: [.folder], onCompletion: load)
        .sheet(isPresented: $showsAbout) {
            AboutView(screen: screen) {
                showsAbout = false
                presenter.testAgain()
            }
        }
        .onChange(of: screen.cover) { before, now in
            // Whoever cannot see the card is told when it is another one, and not at each step of a progress.
            let title = now.map(Words.title) ?? Words.ready(screen.about?.name ?? "")
            if title != before.map(Words.title) { AccessibilityNotification.Announcement(title).post() }
        }
    }

    private func act(_ action: Action) {
        if action == .choose { choosesFolder = true } else { presenter.act(action) }
    }

    private func load(_ chosen: Result<URL, any Error>) {
        switch chosen {
        case .success(let folder):
            // Outside of the app's own folders the system asks for a bracket around the reading.
            let bracket = folder.startAccessingSecurityScopedResource()
            presenter.load(from: folder) {
                if bracket { folder.stopAccessingSecurityScopedResource() }
            }
        case .failure(let error):
            presenter.choosingFailed(error.localizedDescription)
        }
    }
}
