import GemmaChat
import GemmaCoreML
import Observation

/// The presenter's screen where views can observe it.
@MainActor @Observable
final class Shown {
    private(set) var screen = Screen()
    @ObservationIgnored let presenter: Presenter

    init() {
        presenter = Presenter(phone: ThisPhone(), url: Launch.modelURL) { manifest, folder in
            CoreMLFactory(manifest: manifest, folder: folder)
        }
        presenter.show = { [weak self] in self?.screen = $0 }
    }
}
