import Foundation
import GemmaCore

/// What the app does, without a view: from no model to a chat, one step after the other.
///
/// Every method returns at once; `screen` says what came of it.
@MainActor
public final class Presenter {
    /// Makes the engine's factory for a bundle whose files were checked.
    public typealias MakeFactory = @Sendable (_ manifest: Manifest, _ folder: URL) throws -> any EngineFactory

    public private(set) var screen = Screen()

    /// Receives every new screen.
    public var show: @MainActor (Screen) -> Void = { _ in }

    let phone: any Phone
    let bringer: Bringer
    let makeFactory: MakeFactory
    var store: Store?
    var engine: (any Engine)?
    var chat: Conversation?
    private var worker: Task<Void, Never>?
    private var closed = false
    private var number = 0

    /// - Parameter url: folder on a server where the bundle's files are; empty where people have to choose a folder.
    public init(
        phone: any Phone, url: String, downloader: any Downloader = Download(), space: FreeSpace = .ofDisk,
        factory: @escaping MakeFactory
    ) {
        self.phone = phone
        bringer = Bringer(url: url, downloader: downloader, space: space)
        makeFactory = factory
    }

    public func start() {
        work { try await $0.open(careful: true) }
    }

    /// An answer to a card. `Action.choose` is not for here: the system's picker comes first, then `load(from:)`.
    public func act(_ action: Action) {
        switch action {
        case .download:
            work { try await $0.bring(.downloading, $0.bringer.download) }
        case .cancel:
            worker?.cancel()
        case .retry:
            if screen.failure == nil { start() } else { update { $0.failure = nil } }
        case .goOn:
            work { try await $0.open(careful: false) }
        case .newChat:
            newChat()
        case .back:
            update { $0.failure = nil }
        case .choose:
            break
        }
    }

    /// Copies the bundle from a folder that the user chose; `done` is called when it is read no more.
    public func load(from folder: URL, done: @escaping @MainActor () -> Void = {}) {
        work { presenter in
            defer { done() }
            try await presenter.bring(.importing, presenter.bringer.copying(folder))
        }
    }

    /// The folder could not be opened at all.
    public func choosingFailed(_ why: String) {
        work { $0.fail(.file, why, $0.bringer.sources) }
    }

    /// Sends the message with the picture that was chosen for it; a picture needs no words.
    public func send(_ text: String) {
        let picture = screen.picture
        guard picture != nil || !text.allSatisfy(\.isWhitespace), !screen.answering, screen.cover == nil,
            !screen.readsPicture
        else { return }
        let question = message(mine: true, text, picture), answer = message(mine: false, "")
        update {
            $0.messages += [question, answer]
            $0.answering = true
            $0.draft = ""
            $0.picture = nil
            $0.pictureTrouble = nil
        }
        work { await $0.answer(text, picture) }
    }

    /// Ends the answer that is coming; what came stays.
    public func stop() {
        guard let chat else { return }
        Task { await chat.stop() }
    }

    public func newChat() {
        stop()
        work { presenter in
            await presenter.chat?.restart()
            presenter.forgetPictures()
            presenter.update {
                $0.messages = []
                $0.answering = false
                $0.failure = nil
            }
        }
    }

    /// Loads the model anew and tries everything that it can run on, also what ended the app before.
    public func testAgain() {
        stop()
        work { presenter in
            try? FileManager.default.removeItem(at: presenter.mark)
            try await presenter.open(careful: true)
        }
    }

    /// Ends everything; returns when the engine has let go.
    public func close() async {
        closed = true
        worker?.cancel()
        await chat?.stop()
        await worker?.value
        await release()
    }

    // MARK: - For the steps, which lie in extensions

    func message(mine: Bool, _ text: String, _ picture: Picture? = nil) -> Message {
        number += 1
        return Message(id: number, mine: mine, text: text, picture: picture)
    }

    /// Exists while a backend is tried: see `Fallback`.
    var mark: URL { phone.storage.appendingPathComponent("trying") }

    func release() async {
        await chat?.close()
        chat = nil
        await engine?.close()
        engine = nil
    }

    /// A chat does not depend on the file; a Mac that waits for it says that it did not come.
    func report(_ json: Json) {
        try? (json.written() + "\n").write(to: reportFile, atomically: true, encoding: .utf8)
    }

    /// Whoever waits for the file shall not read one of an earlier start.
    func forgetReport() {
        try? FileManager.default.removeItem(at: reportFile)
    }

    private var reportFile: URL { phone.documents.appendingPathComponent(Report.file) }

    func busy(_ work: Work, _ done: Int64 = 0, _ total: Int64 = 0) {
        card(.busy(work, done: done, total: total))
    }

    /// What ends before the self-test; whoever waits for its file shall not wait for nothing.
    func fail(_ problem: Problem, _ detail: String, _ actions: [Action]) {
        report(Report.failure(phone.name, "\(problem.rawValue): \(detail)"))
        card(.failed(Failure(problem, detail, actions)))
    }

    func card(_ card: Card) {
        update {
            $0.card = card
            $0.answering = false
            $0.result = nil
        }
    }

    func update(_ change: (inout Screen) -> Void) {
        var next = screen
        change(&next)
        guard next != screen else { return }
        screen = next
        show(next)
    }

    /// One step after the other, in the order in which they were asked for.
    func work(_ step: @escaping @MainActor (Presenter) async throws -> Void) {
        guard !closed else { return }
        let before = worker
        worker = Task {
            await before?.value
            guard !closed else { return }
            do {
                try await step(self)
            } catch {
                await ended(by: error)
            }
        }
    }

    private func ended(by error: any Error) async {
        if error is CancellationError || (error as? TransferError)?.trouble == .cancelled {
            if let store, !closed { await missing(store) }
            return
        }
        fail(.engine, (error as? EngineError)?.message ?? "\(error)", [.retry])
    }
}
