import Foundation
import GemmaCore
import GemmaLiteRT

/// Closing at any time neither crashes nor hangs nor leaks.
func closings(_ models: Models, _ engine: any Engine, endless: Sized, cycles: Int) async {
    await Suite.run("closing twice, and twice at once, does nothing more") {
        let session = try await engine.start(short)
        try same("BE", await ask(session, belgium).text)
        await session.close()
        await session.close()
        try same(false, await session.usable)
        try same(EngineError.closed, await fails { _ = try await ask(session, three) })
        await session.stop()
        let other = try await engine.start(wild)
        let events = await other.send(everything)
        async let first: Void = other.close(), second: Void = other.close()
        _ = await (first, second)
        try same(Ending.cancelled, try await listen(events).answer?.ending)
    }
    await Suite.run("a session can be closed by the reader of its answer") {
        let session = try await engine.start(wild)
        let read = try await listen(session.send(everything)) { if $0 == 1 { await session.close() } }
        try same(Ending.cancelled, read.answer?.ending)
        try same(EngineError.closed, await fails { _ = try await ask(session, "And then?") })
    }
    await Suite.run("an engine can be closed by the reader of an answer, and twice") {
        let other = try await models.another()
        let session = try await other.start(wild)
        let read = try await listen(session.send(everything)) { if $0 == 1 { await other.close() } }
        try same(Ending.cancelled, read.answer?.ending)
        try same(EngineError.closed, await fails { _ = try await other.start(short) })
        try same(EngineError.closed, await fails { _ = try await other.text([5]) })
        try same(EngineError.closed, await fails { _ = try await ask(session, "And then?") })
        await other.close()
        await session.close()
    }
    await Suite.run("an engine that is closed while calls of it are under way waits for them") {
        for wait in 0..<60 {
            let other = try await models.factory(endless.path, context: endless.context).open(.cpu)
            guard case .text(let replay) = other.replay else { throw Wrong(description: "it gives logits") }
            async let said = try? replay.complete(models.goldens.goldens[0].prompt, maxTokens: endless.context)
            async let begun = try? other.start(wild), second = try? other.start(wild)
            try await Task.sleep(for: .microseconds(wait * 100))
            await other.close()
            if let said = await said { try holds(said.hasPrefix("AI"), said) }
            for session in [await begun, await second].compactMap({ $0 }) { try same(false, await session.usable) }
        }
    }
    await Suite.run("a session and an engine that were dropped are freed without being closed") {
        for wait in [0, 1, 20] {
            var other: (any Engine)? = try await models.another()
            var session = try await other?.start(wild)
            var events = await session?.send(everything)
            try await Task.sleep(for: .milliseconds(wait))
            other = nil
            session = nil
            try holds(events != nil, "nothing is read")
            events = nil
        }
        let other = try await models.another()
        try same("BE", await ask(other.start(short), belgium).text)
        await other.close()
    }
    await Suite.run("what cannot be loaded is an error with a reason") {
        let missing = try await fails { _ = try await models.factory(models.demo.path + ".missing").open(.cpu) }
        let junk = models.cache.appendingPathComponent("junk.litertlm")
        try Data((0..<5000).map { UInt8(truncatingIfNeeded: $0 * 7) }).write(to: junk)
        let broken = try await fails { _ = try await models.factory(junk.path).open(.cpu) }
        let ane = try await fails { _ = try await models.factory(models.demo.path).open(.neuralEngine) }
        try holds(ane.message.contains("Neural Engine"), ane.message)
        let absent = try await fails { _ = try LiteRTLibrary(path: "/absent/liblitert-lm.so") }
        try holds(absent.message.contains("/absent/liblitert-lm.so"), absent.message)
        let other = try await fails { _ = try LiteRTLibrary.linked() }
        try holds(other.message.contains("litert_lm_"), other.message)
        Suite.figure("missing, junk, linked", "\(missing.message) / \(broken.message) / \(other.message)")
    }
    await Suite.run("closing while an answer is coming neither crashes nor leaks") {
        let warm = cycles / 4
        var before = 0, threads = 0
        for i in 0..<(warm + cycles) {
            if i == warm { (before, threads) = (Usage.residentKilobytes(), Usage.threads()) }
            try await interrupt(engine, after: i % 4)
        }
        let grown = Usage.residentKilobytes() - before
        Suite.figure("growth in kB over \(cycles) closings", grown)
        Suite.figure("resident in kB", Usage.residentKilobytes())
        Suite.figure("threads", "\(Usage.threads()), before \(threads)")
        try holds(grown < 8_000, "\(grown) kB more after \(cycles) closings")
        try holds(Usage.threads() <= threads + 4, "\(Usage.threads()) threads, \(threads) before")
    }
    await Suite.run("loading and closing whole engines in mid-answer does not leak") {
        let loads = max(cycles / 20, 2)
        var before = 0
        for i in 0..<(4 + loads) {
            if i == 4 { before = Usage.residentKilobytes() }
            let other = try await models.another()
            let session = try await other.start(wild)
            let events = await session.send(everything)
            for try await _ in events { break }
            await other.close()
        }
        let grown = Usage.residentKilobytes() - before
        Suite.figure("growth in kB over \(loads) engines", grown)
        try holds(grown < 10_000, "\(grown) kB more after \(loads) engines")
    }
}

/// Closes a session in mid-answer: at once, at its first piece by the reader, or by another task.
private func interrupt(_ engine: any Engine, after way: Int) async throws {
    let session = try await engine.start(wild)
    let events = await session.send(everything)
    switch way {
    case 0: await session.close()
    case 1: _ = try await listen(events) { if $0 == 1 { await session.close() } }
    case 2:
        async let closing: Void = session.close()
        _ = try await listen(events)
        await closing
    default:
        for try await _ in events { break }
        await session.close()
    }
}

/// This process, as Linux shows it.
enum Usage {
    static func residentKilobytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, CInt(line.count), file) != nil else { return 0 }
        let bytes = line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
        let numbers = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        return numbers.count > 1 ? (Int(numbers[1]) ?? 0) * Int(getpagesize()) / 1024 : 0
    }

    static func threads() -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count) ?? 0
    }
}
