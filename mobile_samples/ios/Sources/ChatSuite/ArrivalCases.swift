import Foundation
import GemmaChat
import GemmaCore

/// A folder with some files of the bundle.
@MainActor
func part(of bundle: URL, in work: URL, _ name: String, keep: (String) -> Bool) throws -> URL {
    let folder = work.appendingPathComponent(name)
    let all = FileManager.default.enumerator(atPath: bundle.path)?.compactMap { $0 as? String } ?? []
    for path in all where keep(path) {
        let source = bundle.appendingPathComponent(path), target = folder.appendingPathComponent(path)
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: source.path, isDirectory: &isFolder), !isFolder.boolValue else {
            continue
        }
        try FileManager.default.createDirectory(
            at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
        try FileManager.default.copyItem(at: source, to: target)
    }
    return folder
}

/// Turns one byte of a file around.
func damage(_ file: URL) throws {
    var bytes = try Data(contentsOf: file)
    bytes[bytes.count / 2] ^= 1
    try bytes.write(to: file)
}

/// How the files come, and what is done with wrong ones.
@MainActor
func arrivalCases(_ suite: Suite, _ bundle: URL) async {
    let weights = "Model.mlpackage/Data/com.apple.CoreML/weights/weight.bin"
    let bare = { (path: String) in path == "manifest.json" }
    let stored = { (run: Run) throws -> URL in
        let names = try FileManager.default.contentsOfDirectory(atPath: run.desk.storage.path)
        guard let name = names.first(where: { $0.hasPrefix("bundle-") }) else { throw Wrong(description: "no folder") }
        return run.desk.storage.appendingPathComponent(name)
    }

    await suite.run("bundle inside the app to chat") { work in
        let run = try Run(work, app: bundle, whole: bundle)
        run.presenter.start()
        try await run.chat()
        try same(run.works, [.looking, .checking, .loading, .testing])
        try same(run.server.asked, [])
        try holds(try !FileManager.default.contentsOfDirectory(atPath: run.desk.storage.path).contains {
            $0.hasPrefix("bundle-")
        }, "the app's files were copied")
        await run.presenter.close()
    }
    await suite.run("second start reads nothing again") { work in
        let first = try Run(work, app: bundle, whole: bundle)
        first.presenter.start()
        try await first.chat()
        await first.presenter.close()
        let run = try Run(work, app: bundle, whole: bundle)
        run.presenter.start()
        try await run.chat()
        try same(run.works, [.looking, .loading, .testing])
        await run.presenter.close()
    }
    await suite.run("without files or server a folder is asked for") { work in
        let run = try Run(work, app: part(of: bundle, in: work, "app", keep: bare), whole: bundle)
        run.presenter.start()
        let (bytes, actions) = try await run.missing()
        try same(actions, [.choose])
        try same(try run.report.text("why"), "the model is not on this device")
        try same(run.screen.passed, false)
        let manifest = try Manifest(
            Array(Data(contentsOf: bundle.appendingPathComponent("manifest.json"))), platform: "ios")
        let all = manifest.files.values.filter { !$0.name.hasPrefix("parity.") }.reduce(0) { $0 + $1.bytes }
        try same(bytes, all)
        await run.presenter.close()
    }
    await suite.run("download brings what is not in the app") { work in
        let app = try part(of: bundle, in: work, "app") { !$0.hasSuffix(".rows") && $0 != weights }
        let run = try Run(work, app: app, whole: bundle, url: Run.url)
        run.presenter.start()
        let (bytes, actions) = try await run.missing()
        try same(actions, [.download, .choose])
        try holds(bytes > 0)
        run.presenter.act(.download)
        try await run.chat()
        try same(
            run.server.asked.sorted(),
            [weights, "embed_tokens.rows", "embed_tokens_per_layer.rows"].map { "\(Run.url)/\($0)" })
        let dones = run.shown.compactMap { screen -> Int64? in
            if case .busy(.downloading, let done, _) = screen.card { done } else { nil }
        }
        try holds(dones == dones.sorted() && dones.count > 2, "\(dones)")
        await run.presenter.close()
        let again = try Run(work, app: app, whole: bundle, url: Run.url)
        again.presenter.start()
        try await again.chat()
        try same(again.works, [.looking, .loading, .testing])
        await again.presenter.close()
    }
    await suite.run("cancelled download keeps what came") { work in
        let run = try Run(work, app: part(of: bundle, in: work, "app", keep: bare), whole: bundle, url: Run.url + "/")
        run.server.waits(weights)
        run.presenter.start()
        let (before, _) = try await run.missing()
        run.presenter.act(.download)
        try await soon("the weights") { run.server.asked.contains { $0.hasSuffix(weights) } }
        try same(run.screen.card?.actions, [.cancel])
        run.presenter.act(.cancel)
        let (after, actions) = try await run.missing()
        try same(actions, [.download, .choose])
        try holds(after < before, "\(after) of \(before) are missing")
        run.server.waits(weights, false)
        let asked = run.server.asked
        run.presenter.act(.download)
        try await run.chat()
        let first = asked.dropLast(), second = run.server.asked.dropFirst(asked.count)
        try same(Set(first).intersection(second), [])
        await run.presenter.close()
    }
    await suite.run("broken download says why and goes on") { work in
        let run = try Run(work, app: part(of: bundle, in: work, "app", keep: bare), whole: bundle, url: Run.url)
        run.server.breaks("tokenizer.json", .network)
        run.presenter.start()
        try await run.missing()
        run.presenter.act(.download)
        let failure = try await run.failed(.network)
        try same(failure, Failure(.network, "no tokenizer.json", [.download, .choose]))
        try same(try run.report.text("why"), "network: no tokenizer.json")
        run.server.breaks("tokenizer.json", nil)
        run.presenter.act(.download)
        try await run.chat()
        await run.presenter.close()
    }
    await suite.run("server with another file") { work in
        let other = try part(of: bundle, in: work, "other") { _ in true }
        try damage(other.appendingPathComponent(weights))
        let run = try Run(work, app: part(of: bundle, in: work, "app", keep: bare), whole: other, url: Run.url)
        run.presenter.start()
        try await run.missing()
        run.presenter.act(.download)
        try await run.failed(.file)
        try same(run.double.seen.opened, [])
        try holds(try !FileManager.default.fileExists(atPath: stored(run).appendingPathComponent(weights).path))
        await run.presenter.close()
    }
    await suite.run("too little space is said before anything comes") { work in
        let app = try part(of: bundle, in: work, "app", keep: bare)
        let run = try Run(work, app: app, whole: bundle, url: Run.url, free: 1_000_000)
        run.presenter.start()
        try await run.missing()
        run.presenter.act(.download)
        let failure = try await run.failed(.space)
        try holds(failure.detail.hasSuffix("of free storage are needed, 1 MB are free."), failure.detail)
        try same(run.server.asked, [])
        await run.presenter.close()
    }
    await suite.run("import of a wrong folder then the right one") { work in
        let run = try Run(work, app: part(of: bundle, in: work, "app", keep: bare), whole: bundle)
        let empty = try part(of: bundle, in: work, "empty") { $0 == "LICENSE" }
        let changed = try part(of: bundle, in: work, "changed") { _ in true }
        try damage(changed.appendingPathComponent(weights))
        run.presenter.start()
        try await run.missing()
        run.presenter.load(from: empty)
        try holds(try await run.failed(.file).detail.hasPrefix("There is no "))
        run.presenter.load(from: changed)
        try await run.failed(.file)
        try same(run.double.seen.opened, [])
        run.presenter.load(from: bundle)
        try await run.chat()
        try holds(run.works.contains(.importing))
        try holds(try !FileManager.default.subpathsOfDirectory(atPath: stored(run).path).contains {
            $0.hasSuffix(".part")
        }, "a part was left")
        await run.presenter.close()
    }
    await suite.run("folder that cannot be opened") { work in
        let run = try Run(work, app: part(of: bundle, in: work, "app", keep: bare), whole: bundle)
        run.presenter.start()
        try await run.missing()
        run.presenter.choosingFailed("no permission")
        try same(try await run.failed(.file), Failure(.file, "no permission", [.choose]))
        await run.presenter.close()
    }
    await suite.run("whole shared folder is used where it lies") { work in
        let app = try part(of: bundle, in: work, "app", keep: bare)
        let shared = try part(of: bundle, in: work, "shared") { _ in true }
        let run = try Run(work, app: app, whole: bundle, shared: shared)
        run.presenter.start()
        try await run.chat()
        try holds(try !FileManager.default.contentsOfDirectory(atPath: run.desk.storage.path).contains {
            $0.hasPrefix("bundle-")
        }, "the shared files were copied")
        await run.presenter.close()
    }
    await suite.run("damaged shared folder is not used and not touched") { work in
        let app = try part(of: bundle, in: work, "app", keep: bare)
        let shared = try part(of: bundle, in: work, "shared") { _ in true }
        try damage(shared.appendingPathComponent(weights))
        let run = try Run(work, app: app, whole: bundle, shared: shared, url: Run.url)
        run.presenter.start()
        try await run.missing()
        try same(run.double.seen.opened, [])
        run.presenter.act(.download)
        try await run.chat()
        try same(run.server.asked, ["\(Run.url)/\(weights)"])
        try holds(FileManager.default.fileExists(atPath: shared.appendingPathComponent(weights).path))
        await run.presenter.close()
    }
    await suite.run("file that changed in the storage is deleted and asked for") { work in
        let app = try part(of: bundle, in: work, "app", keep: bare)
        let first = try Run(work, app: app, whole: bundle)
        first.presenter.start()
        try await first.missing()
        first.presenter.load(from: bundle)
        try await first.chat()
        await first.presenter.close()
        let file = try stored(first).appendingPathComponent(weights)
        try damage(file)
        let run = try Run(work, app: app, whole: bundle, url: Run.url)
        run.presenter.start()
        let (bytes, _) = try await run.missing()
        try same(run.double.seen.opened, [])
        try holds(!FileManager.default.fileExists(atPath: file.path))
        try holds(bytes > 0)
        run.presenter.act(.download)
        try await run.chat()
        try same(run.server.asked, ["\(Run.url)/\(weights)"])
        await run.presenter.close()
    }
    await suite.run("storage of another model is deleted") { work in
        let old = work.appendingPathComponent("storage/bundle-0123456789abcdef")
        try FileManager.default.createDirectory(at: old, withIntermediateDirectories: true)
        let run = try Run(work, app: bundle, whole: bundle)
        run.presenter.start()
        try await run.chat()
        try holds(!FileManager.default.fileExists(atPath: old.path))
        await run.presenter.close()
    }
    await suite.run("app without a bundle") { work in
        let run = try Run(work, app: work.appendingPathComponent("nothing"), whole: bundle)
        run.presenter.start()
        try same(try await run.failed(.bundle), Failure(.bundle, "manifest.json is not in the app", [.retry]))
        try same(try run.report.text("verdict"), "failed")
        await run.presenter.close()
    }
    await suite.run("damaged manifest is refused") { work in
        let app = try part(of: bundle, in: work, "app") { _ in true }
        let file = app.appendingPathComponent("manifest.json")
        let text = try String(contentsOf: file, encoding: .utf8)
        try text.replacingOccurrences(of: "\"context\": 96", with: "\"context\": 97")
            .write(to: file, atomically: true, encoding: .utf8)
        let run = try Run(work, app: app, whole: bundle)
        run.presenter.start()
        try holds(try await run.failed(.bundle).detail.hasPrefix("manifest.json is damaged"))
        await run.presenter.close()
    }
}
