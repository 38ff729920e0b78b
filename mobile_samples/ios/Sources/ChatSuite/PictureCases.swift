import Foundation
import GemmaChat
import GemmaCore

/// How large a picture is made, and what is refused by its size.
@MainActor
func sizeCases(_ suite: Suite) async {
    await suite.run("a picture becomes as large as the manifest's rule says") { _ in
        let images = Images(tokens: 280, multiple: 48)
        let sizes = [
            (Extent(4032, 3024), Extent(912, 672)), (Extent(3024, 4032), Extent(672, 912)),
            (Extent(10, 10), Extent(768, 768)), (Extent(9999, 1), Extent(13440, 48)), (Extent(1, 200), Extent(48, 11328)),
        ]
        for (size, target) in sizes { try same(images.target(size), target) }
        try same(images.longest(Extent(4032, 3024)), 912)
        try same(images.longest(Extent(1000, 100)), 1000)  // it is no larger than its target
        try same(images.target(Extent(4000, 1800)), Extent(1152, 528))
        try same(images.longest(Extent(4000, 1800)), 1174)  // with 1152 it would be lower than its target
    }
    await suite.run("a bomb is refused by its size, and a picture by the memory that it takes") { _ in
        func trouble(_ size: Extent, _ available: Int64) throws -> PictureTrouble? {
            do {
                try PictureCheck.check(size, available: available)
                return nil
            } catch let trouble as PictureTrouble {
                return trouble
            }
        }
        let side = 1 << 14, most = Extent(side, side), bytes = Int64(side * side * 6)
        try same(try trouble(most, bytes), nil)
        try same(try trouble(most, bytes - 1), .memory)
        try same(try trouble(Extent(side + 1, side), .max), .tooLarge)
        try same(try trouble(Extent(.max, .max), .max), .tooLarge)
        try same(try trouble(Extent(0, 5), .max), .unreadable)
        try same(try trouble(Extent(5, -1), .max), .unreadable)
    }
}

/// Pictures in the chat.
@MainActor
func pictureCases(_ suite: Suite, _ bundle: URL) async {
    func chatting(_ work: URL, _ flags: Set<Knowing.Flag> = [.seeing]) async throws -> Run {
        let run = try Run(work, app: bundle, whole: bundle, [.cpu], flags)
        run.presenter.start()
        try await run.chat()
        return run
    }
    func attached(_ run: Run, _ text: String) async throws -> Picture {
        run.presenter.attach { Data(text.utf8) }
        let screen = try await run.until("picture \(text)") { $0.picture?.file.lastPathComponent == text + ".png" }
        guard let picture = screen.picture else { throw Wrong(description: "no picture") }
        return picture
    }
    func files(_ run: Run) -> [String] {
        let folder = run.desk.storage.appendingPathComponent("pictures").path
        return ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }

    await suite.run("an engine that takes no pictures has no button and is given none") { work in
        let run = try await chatting(work, [])
        try holds(!run.screen.pictures)
        run.presenter.attach { Data("one".utf8) }
        run.presenter.send("hello")
        _ = try await run.answered()
        try same(run.screen.picture, nil)
        try same(files(run), [])
        await run.presenter.close()
    }
    await suite.run("a picture goes with the message and is seen above it") { work in
        let run = try await chatting(work)
        try holds(run.screen.pictures)
        let picture = try await attached(run, "one")
        try same(try String(contentsOf: picture.file, encoding: .utf8), "70")  // how large the model wants it
        run.presenter.send(" ")  // it needs no words
        try same(run.screen.messages.first?.picture, picture)
        try same(run.screen.picture, nil)
        _ = try await run.answered()
        run.presenter.send("and now?")
        _ = try await run.answered(4)
        try same(run.double.seen.pictures, [[picture.file.path], []])
        await run.presenter.close()
    }
    await suite.run("nothing is sent while a picture is read that belongs to it") { work in
        let run = try await chatting(work)
        run.presenter.attach { Data("one".utf8) }
        try holds(run.screen.readsPicture)
        run.presenter.send("look")
        try same(run.screen.messages, [])
        try holds(try await !run.until("a picture") { $0.picture != nil }.readsPicture)
        run.presenter.send("look")
        _ = try await run.answered()
        try same(run.double.seen.pictures.map(\.count), [1])
        await run.presenter.close()
    }
    await suite.run("what cannot be read is said in a line, and the picture before it stays") { work in
        let run = try await chatting(work)
        let picture = try await attached(run, "one")
        for trouble in PictureTrouble.allCases {
            run.presenter.attach { Data(trouble.rawValue.utf8) }
            let screen = try await run.until("\(trouble)") { $0.pictureTrouble == trouble }
            try same(screen.picture, picture)
            try same(screen.cover, nil)
        }
        run.presenter.attach { nil }
        try await run.until("gone") { $0.pictureTrouble == .gone }
        run.presenter.attach { throw EngineError.closed }
        run.presenter.detach()
        try same(run.screen.pictureTrouble, nil)
        try same(run.screen.picture, nil)
        try await run.until("gone again") { $0.pictureTrouble == .gone }
        try await soon("no files") { files(run).isEmpty }
        await run.presenter.close()
    }
    await suite.run("a message that was not answered comes back with its picture") { work in
        let run = try await chatting(work)
        let picture = try await attached(run, "one")
        run.double.set(.breaking)
        run.presenter.send("look")
        _ = try await run.failed(.answer)
        try same(run.screen.picture, picture)
        try same(run.screen.draft, "look")
        try same(files(run).count, 2)
        await run.presenter.close()
    }
    await suite.run("a new chat forgets the pictures of the old one and keeps that of the next message") { work in
        let run = try await chatting(work)
        _ = try await attached(run, "one")
        _ = try await attached(run, "two")
        try same(files(run), ["two.jpg", "two.png"])
        run.presenter.send("look")
        _ = try await run.answered()
        _ = try await attached(run, "three")
        run.presenter.newChat()
        try await run.until("a new chat") { $0.messages.isEmpty }
        try same(files(run), ["three.jpg", "three.png"])
        await run.presenter.close()
    }
    await suite.run("a picture stays in the history of another session") { _ in
        let double = Knowing(try Made.goldens(), [.cpu], [.seeing, .usedUp])
        let talk = Conversation(KnowingEngine(factory: double, backend: .cpu))
        _ = try await talk.say("wait", pictures: ["/a.png"]) { if $0 == "far" { await talk.stop() } }
        _ = try await talk.say("q") { _ in }
        try same(double.seen.histories.last?.map(\.pictures), [["/a.png"], []])
        try same(double.seen.pictures, [["/a.png"], []])
    }
    await suite.run("an engine that takes no pictures says so") { _ in
        let double = Knowing(try Made.goldens())
        let talk = Conversation(Blind(inner: KnowingEngine(factory: double, backend: .cpu)))
        let error = try await thrown { _ = try await talk.say("q", pictures: ["/a.png"]) { _ in } }
        try same(error as? EngineError, .failed("this engine takes no pictures"))
        try same(try await talk.say("q") { _ in }.text, "right")
    }
}

/// An engine and a session that say nothing of pictures.
private struct Blind: Engine {
    let inner: KnowingEngine
    var backend: Backend { inner.backend }
    var replay: Replay { inner.replay }
    func start(_ settings: SessionSettings) async throws -> any Session { BlindSession(inner: try await inner.start(settings)) }
    func close() async { await inner.close() }
}

private struct BlindSession: Session {
    let inner: any Session
    var usable: Bool { get async { await inner.usable } }
    func send(_ message: String) async -> Events { await inner.send(message) }
    func stop() async { await inner.stop() }
    func close() async { await inner.close() }
}
