import Foundation
import GemmaCore

/// What a case found wrong.
struct Wrong: Error, CustomStringConvertible {
    let description: String
}

/// Says of each case in a line of JSON why it failed; empty where it passed.
enum Suite {
    /// A call that never returns must not take the outcome of the others with it.
    private static let patience = 180.0

    static func run(_ name: String, _ body: () async throws -> Void) async {
        let guardian = DispatchWorkItem {
            say(["case": name, "why": "it did not end within \(Int(patience)) s"])
            exit(3)
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + patience, execute: guardian)
        var why = ""
        do {
            try await body()
        } catch {
            why = "\(error)"
        }
        guardian.cancel()
        say(["case": name, "why": why])
    }

    /// A number that was measured.
    static func figure(_ name: String, _ value: Any) {
        say(["figure": name, "value": "\(value)"])
    }

    private static func say(_ members: [String: String]) {
        print(Json.object(members.mapValues { .text($0) }).written())
        fflush(nil)  // a crash must not take the line with it
    }
}

func holds(_ right: Bool, _ what: @autoclosure () -> String = "it does not hold") throws {
    if !right { throw Wrong(description: what()) }
}

func same<Value: Equatable>(_ expected: Value, _ found: Value) throws {
    try holds(expected == found, "\(expected) is right, \(found) was found")
}

/// The error that `body` throws.
func fails(_ body: () async throws -> Void) async throws -> EngineError {
    do {
        try await body()
    } catch let error as EngineError {
        return error
    }
    throw Wrong(description: "nothing was refused")
}

extension EngineError {
    var isContextFull: Bool {
        if case .contextFull = self { return true }
        return false
    }
}

/// An answer as a reader got it; nil where the stream ended without its last event.
struct Read {
    var pieces: [String] = []
    var answer: Answer?
}

/// Reads an answer to its end.
func listen(_ events: Events, piece: (Int) async throws -> Void = { _ in }) async throws -> Read {
    var found = Read()
    for try await event in events {
        try holds(found.answer == nil, "something came after the end")
        switch event {
        case .piece(let text):
            found.pieces.append(text)
            try await piece(found.pieces.count)
        case .ended(let answer): found.answer = answer
        }
    }
    return found
}

/// A message's whole answer.
func ask(_ session: any Session, _ message: String) async throws -> Answer {
    guard let answer = try await listen(await session.send(message)).answer else {
        throw Wrong(description: "the answer has no end")
    }
    return answer
}

extension Engine {
    /// Starts a session, and closes it in any case.
    func within<Result>(
        _ settings: SessionSettings, _ body: (any Session) async throws -> Result
    ) async throws -> Result {
        let session = try await start(settings)
        do {
            let result = try await body(session)
            await session.close()
            return result
        } catch {
            await session.close()
            throw error
        }
    }
}
