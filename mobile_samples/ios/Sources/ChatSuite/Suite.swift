import Foundation
import GemmaCore

/// What a case found wrong.
struct Wrong: Error, CustomStringConvertible {
    let description: String
}

/// Cases of one program; each prints a line of JSON. The caller finds their names by `suite.run` in the sources.
@MainActor
final class Suite {
    private let root: URL
    private var failures = 0

    init(_ root: URL) {
        self.root = root
    }

    /// Runs a case in a folder of its own.
    func run(_ name: String, _ body: @MainActor (_ work: URL) async throws -> Void) async {
        let work = root.appendingPathComponent(name.replacingOccurrences(of: " ", with: "-"))
        var why = ""
        do {
            try FileManager.default.createDirectory(at: work, withIntermediateDirectories: true)
            try await body(work)
        } catch {
            failures += 1
            why = "\(error)"
        }
        print(Json.object(["case": .text(name), "why": .text(why)]).written())
        fflush(nil)  // what was said is there also when the next case ends the process
    }

    func end() -> Never {
        exit(failures == 0 ? 0 : 1)
    }
}

func same<Value: Equatable>(
    _ found: Value, _ wanted: Value, _ file: StaticString = #fileID, _ line: UInt = #line
) throws {
    if found != wanted { throw Wrong(description: "\(file):\(line): expected \(wanted), found \(found)") }
}

func holds(
    _ condition: Bool, _ what: String = "it does not hold", _ file: StaticString = #fileID, _ line: UInt = #line
) throws {
    if !condition { throw Wrong(description: "\(file):\(line): \(what)") }
}

/// What the body throws.
@MainActor
func thrown(
    _ file: StaticString = #fileID, _ line: UInt = #line, _ body: @MainActor () async throws -> Void
) async throws -> any Error {
    do {
        try await body()
    } catch {
        return error
    }
    throw Wrong(description: "\(file):\(line): nothing was thrown")
}

/// Waits for something that another task does; a minute at most.
@MainActor
func soon(
    _ what: String, _ file: StaticString = #fileID, _ line: UInt = #line, _ condition: () async -> Bool
) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while await !condition() {
        guard ContinuousClock.now < end else { throw Wrong(description: "\(file):\(line): never: \(what)") }
        try await Task.sleep(for: .milliseconds(1))
    }
}
