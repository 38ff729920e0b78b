import Foundation
import GemmaChat
import GemmaCore

/// A phone on a desk.
final class Desk: Phone, @unchecked Sendable {
    let name = "desk «1»"
    let packed: Place
    let shared: [Place]
    let storage: URL
    let documents: URL
    private let lock = NSLock()
    private var ram: (total: Int64, available: Int64) = (8_000_000_000, 8_000_000_000)

    init(_ work: URL, app: URL, shared: URL? = nil) {
        packed = Place("app", app)
        self.shared = shared.map { [Place("documents", $0)] } ?? []
        storage = work.appendingPathComponent("storage")
        documents = work
        try? FileManager.default.createDirectory(at: storage, withIntermediateDirectories: true)
    }

    func memory() -> (total: Int64, available: Int64) { lock.withLock { ram } }

    /// A picture is what its bytes say, or why it is none.
    func picture(_ data: Data, _ images: Images, into folder: URL) throws -> Picture {
        let text = String(decoding: data, as: UTF8.self)
        if let trouble = PictureTrouble(rawValue: text) { throw trouble }
        let files = ["png", "jpg"].map { folder.appendingPathComponent("\(text).\($0)") }
        for file in files { try Data("\(images.tokens)".utf8).write(to: file) }
        return Picture(file: files[0], thumbnail: files[1], size: Extent(4000, 3000))
    }

    func has(total: Int64, available: Int64) {
        lock.withLock { ram = (total, available) }
    }
}

/// A server that has the files of a folder.
final class Server: Downloader, @unchecked Sendable {
    private let folder: URL
    private let lock = NSLock()
    private var requests: [String] = []
    private var bad: [String: Trouble] = [:]
    private var slow: Set<String> = []

    init(_ folder: URL) {
        self.folder = folder
    }

    var asked: [String] { lock.withLock { requests } }

    func breaks(_ name: String, _ trouble: Trouble?) { lock.withLock { bad[name] = trouble } }

    /// The file comes only until the task is cancelled.
    func waits(_ name: String, _ on: Bool = true) {
        lock.withLock { if on { slow.insert(name) } else { slow.remove(name) } }
    }

    func fetch(_ url: String, to target: URL, want: BundleFile, progress: @escaping ProgressHandler) async throws {
        let (trouble, waits) = lock.withLock {
            requests.append(url)
            return (bad[want.name], slow.contains(want.name))
        }
        if waits {
            progress(.transfer, want.bytes / 2, want.bytes)
            try? await Task.sleep(for: .seconds(60))
        }
        try TransferError.checkCancelled()
        if let trouble { throw TransferError(trouble: trouble, message: "no \(want.name)") }
        let source = folder.appendingPathComponent(want.name)
        try await ModelImport.copy(from: source, to: target, want: want, progress: progress)
    }
}

/// The presenter with all its doubles, and every screen that it showed.
@MainActor
final class Run {
    static let url = "https://example.org/demo"

    let desk: Desk
    let double: Knowing
    let server: Server
    let golden: GoldenFile
    let presenter: Presenter
    private(set) var shown: [Screen] = []
    private var next = 0

    init(
        _ work: URL, app: URL, whole: URL, shared: URL? = nil, url: String = "", free: Int64? = nil,
        _ backends: [Backend] = [.cpu], _ flags: Set<Knowing.Flag> = []
    ) throws {
        desk = Desk(work, app: app, shared: shared)
        server = Server(whole)
        golden = try GoldenFile(Array(Data(contentsOf: whole.appendingPathComponent("golden.json"))))
        let double = Knowing(golden, backends, flags)
        self.double = double
        let space = free.map { free in FreeSpace { _ in free } } ?? .ofDisk
        presenter = Presenter(
            phone: desk, url: url, downloader: server, space: space, factory: { _, _ in double })
        presenter.show = { [unowned self] in shown.append($0) }
    }

    var screen: Screen { presenter.screen }

    /// The next screen that it holds of.
    @discardableResult
    func until(
        _ what: String, _ file: StaticString = #fileID, _ line: UInt = #line, _ holds: (Screen) -> Bool
    ) async throws -> Screen {
        var found: Screen?
        do {
            try await soon(what, file, line) {
                while found == nil, next < shown.count {
                    if holds(shown[next]) { found = shown[next] }
                    next += 1
                }
                return found != nil
            }
        } catch {
            throw Wrong(description: "\(error); last \(String(describing: shown.last))")
        }
        return found ?? screen
    }

    @discardableResult
    func chat(_ file: StaticString = #fileID, _ line: UInt = #line) async throws -> Screen {
        try await until("a chat", file, line) { $0.card == nil }
    }

    @discardableResult
    func missing(_ file: StaticString = #fileID, _ line: UInt = #line) async throws -> (Int64, [Action]) {
        let screen = try await until("missing", file, line) { if case .missing = $0.card { true } else { false } }
        guard case .missing(let bytes, let actions) = screen.card else { throw Wrong(description: "no card") }
        return (bytes, actions)
    }

    @discardableResult
    func failed(
        _ problem: Problem, _ file: StaticString = #fileID, _ line: UInt = #line
    ) async throws -> Failure {
        func of(_ screen: Screen) -> Failure? {
            if case .failed(let failure) = screen.card { failure } else { screen.failure }
        }
        let screen = try await until("\(problem)", file, line) { of($0)?.problem == problem }
        guard let failure = of(screen) else { throw Wrong(description: "no failure") }
        return failure
    }

    /// The answer that came last, when it is whole.
    func answered(
        _ count: Int = 2, _ file: StaticString = #fileID, _ line: UInt = #line
    ) async throws -> Message {
        let screen = try await until("an answer", file, line) { !$0.answering && $0.messages.count == count }
        guard let last = screen.messages.last else { throw Wrong(description: "no message") }
        return last
    }

    /// Kinds of work that were shown, in order.
    var works: [Work] {
        var found: [Work] = []
        for screen in shown {
            if case .busy(let work, _, _) = screen.card, found.last != work { found.append(work) }
        }
        return found
    }

    var report: Fields {
        get throws {
            let file = desk.documents.appendingPathComponent("self-test.json")
            return try Fields(Json.parse(Array(Data(contentsOf: file))), "report")
        }
    }
}
