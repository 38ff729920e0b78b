import Foundation
import GemmaChat
import GemmaCore

/// From the files to a chat: memory, self-test, fallback.
@MainActor
func loadingCases(_ suite: Suite, _ bundle: URL) async {
    let both: [Backend] = [.gpu, .cpu]

    await suite.run("passed self-test is shown and written") { work in
        let run = try Run(work, app: bundle, whole: bundle)
        run.presenter.start()
        let screen = try await run.chat()
        try same(screen.result, TestResult(backend: .cpu, compared: run.golden.goldens.count, sharp: false))
        try same(screen.about?.rungs.isEmpty, false)
        let tested = run.shown.compactMap { screen -> Int64? in
            if case .busy(.testing, let done, let of) = screen.card, of == Int64(run.golden.goldens.count) {
                done
            } else {
                nil
            }
        }
        try same(tested, Array(1...Int64(run.golden.goldens.count)))
        let report = try run.report
        try same(try report.text("verdict"), "passed")
        try same(try report.text("device"), "desk -1-")
        try same(try report.children("trials").map { try $0.text("backend") }, ["cpu"])
        let judged = try report.children("trials").first?.child("report").text("artifact_sha256")
        try same(judged, run.golden.artifactSha256)
        await run.presenter.close()
        try same(run.double.seen.closed, [.cpu])
    }
    await suite.run("report of an earlier start is gone before the test") { work in
        let old = work.appendingPathComponent("self-test.json")
        try "old".write(to: old, atomically: true, encoding: .utf8)
        let run = try Run(work, app: bundle, whole: bundle, [.cpu], [.slow])
        run.presenter.start()
        try await soon("a try") { !run.double.seen.opened.isEmpty }
        try holds(!FileManager.default.fileExists(atPath: old.path))
        try same(run.screen.passed, nil)
        await run.presenter.close()
    }
    await suite.run("self-test by logits is sharp") { work in
        let run = try Run(work, app: bundle, whole: bundle, both, [.logits])
        run.presenter.start()
        try same(
            try await run.chat().result, TestResult(backend: .gpu, compared: run.golden.goldens.count, sharp: true))
        await run.presenter.close()
    }
    await suite.run("logits that are no numbers fail and the report is still JSON") { work in
        let run = try Run(work, app: bundle, whole: bundle, [.cpu], [.logits, .noNumbers])
        run.presenter.start()
        try await run.failed(.selfTest)
        try same(try run.report.text("verdict"), "failed")
        await run.presenter.close()
    }
    await suite.run("wrong backend falls back") { work in
        let run = try Run(work, app: bundle, whole: bundle, both, [.wrong(.gpu)])
        run.presenter.start()
        let result = try await run.chat().result
        try same(result?.backend, .cpu)
        try same(result?.left.map(\.backend), [.gpu])
        try holds(result?.left.first?.why.hasPrefix("it computes wrongly") == true)
        await run.presenter.close()
    }
    await suite.run("nothing right means no chat") { work in
        let run = try Run(work, app: bundle, whole: bundle, both, [.wrong(.gpu), .wrong(.cpu)])
        run.presenter.start()
        let failure = try await run.failed(.selfTest)
        try same(failure.actions, [.retry])
        try same(failure.detail.split(separator: "\n").count, 2)
        run.presenter.send("hello")
        try same(run.screen.messages, [])
        try same(try run.report.text("verdict"), "failed")
        run.double.set(.wrong(.gpu), false)
        run.presenter.act(.retry)
        try same(try await run.chat().result?.backend, .gpu)
        await run.presenter.close()
    }
    await suite.run("engine that does not start") { work in
        let run = try Run(work, app: bundle, whole: bundle, [.cpu], [.failing(.cpu)])
        run.presenter.start()
        try same(try await run.failed(.engine).detail, "cpu: it does not load: no such device")
        await run.presenter.close()
    }
    await suite.run("backend that ended the app is tried again when asked for") { work in
        let run = try Run(work, app: bundle, whole: bundle, both)
        try "gpu".write(
            to: run.desk.storage.appendingPathComponent("trying"), atomically: true, encoding: .utf8)
        run.presenter.start()
        try same(try await run.chat().result?.backend, .cpu)
        run.presenter.testAgain()
        try await run.until("loading") { $0.card != nil }
        try same(try await run.chat().result?.backend, .gpu)
        try same(run.double.seen.closed, [.cpu])
        await run.presenter.close()
    }
    await suite.run("too little memory asks first") { work in
        let run = try Run(work, app: bundle, whole: bundle)
        run.desk.has(total: 100_000_000, available: 100_000_000)
        run.presenter.start()
        let failure = try await run.failed(.memory)
        try same(failure.actions, [.retry, .goOn])
        try holds(failure.detail.contains("100 MB"), failure.detail)
        try same(run.double.seen.opened, [])
        run.presenter.act(.goOn)
        try await run.chat()
        await run.presenter.close()
    }
    await suite.run("too little memory for this app now asks too") { work in
        let run = try Run(work, app: bundle, whole: bundle)
        run.desk.has(total: 8_000_000_000, available: 100_000_000)
        run.presenter.start()
        try holds(try await run.failed(.memory).detail.contains("this app may take 100 MB now"))
        run.desk.has(total: 8_000_000_000, available: 4_000_000_000)
        run.presenter.act(.retry)
        try await run.chat()
        await run.presenter.close()
    }
    await suite.run("two starts come one after the other") { work in
        let run = try Run(work, app: bundle, whole: bundle)
        run.presenter.start()
        run.presenter.start()
        try await soon("two engines") { run.double.seen.opened.count == 2 && run.screen.card == nil }
        try same(run.double.seen.closed, [.cpu])
        try same(run.double.seen.most, 1)
        await run.presenter.close()
    }
    await suite.run("close while loading ends it") { work in
        let run = try Run(work, app: bundle, whole: bundle, both, [.slow])
        run.presenter.start()
        try await soon("a try") { !run.double.seen.opened.isEmpty }
        await run.presenter.close()
        try same(run.double.seen.opened, [.gpu])
        try holds(!FileManager.default.fileExists(atPath: run.desk.storage.appendingPathComponent("trying").path))
    }
}
