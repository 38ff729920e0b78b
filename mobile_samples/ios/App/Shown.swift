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
            let pictures = CoreMLFactory.Pictures(
                open: { try PhotoRows($0, available: ThisPhone.available) }, available: { ThisPhone.available })
            return CoreMLFactory(manifest: manifest, folder: folder, pictures: pictures)
        }
        presenter.show = { [weak self] in self?.screen = $0 }
    }
}
