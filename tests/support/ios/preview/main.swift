import Foundation
import GemmaChat
import GemmaCore
import SwiftUI

// Draws the app's own views, for every kind of screen, as HTML: a line of JSON each. Argument: a bundle's manifest.

/// A phone that nothing is asked of.
private struct Nowhere: Phone {
    let name = ""
    let packed = Place("app", URL(fileURLWithPath: "/nowhere"))
    let shared: [Place] = []
    let storage = URL(fileURLWithPath: "/nowhere")
    let documents = URL(fileURLWithPath: "/nowhere")
    func memory() -> (total: Int64, available: Int64) { (0, 0) }
    func picture(_ data: Data, _ images: Images, into folder: URL) throws -> Picture { throw PictureTrouble.gone }
}

guard CommandLine.arguments.count == 2,
    let bytes = FileManager.default.contents(atPath: CommandLine.arguments[1])
else {
    print("preview MANIFEST")
    exit(2)
}
let about = About(try Manifest(Array(bytes), platform: "ios"))
let presenter = Presenter(phone: Nowhere(), url: "") { _, _ in throw Refused("nothing is loaded here") }

func screen(_ change: (inout Screen) -> Void) -> Screen {
    var screen = Screen()
    screen.about = about
    change(&screen)
    return screen
}

func failure(_ problem: Problem, _ detail: String, _ actions: Action...) -> Screen {
    screen { $0.card = .failed(Failure(problem, detail, actions)) }
}

func message(_ id: Int, _ mine: Bool, _ text: String, _ change: (inout Message) -> Void = { _ in }) -> Message {
    var message = Message(id: id, mine: mine, text: text)
    change(&message)
    return message
}

let passed = TestResult(backend: .neuralEngine, compared: 8, sharp: true)
let fellBack = TestResult(
    backend: .cpu, compared: 8, sharp: true,
    left: [
        .init(.neuralEngine, "it computes wrongly: 5 passed, 3 failed, 0 not compared, by logits"),
        .init(.gpu, "the app ended while it was tried before"),
    ])
let talk = [
    message(1, true, "What is 17 + 25?"),
    message(2, false, "42") { $0.speed = Speed(tokens: 3, tokensPerSecond: 31.24, firstTokenSeconds: 0.2) },
    message(3, true, "How many metres are there in 12 kilometres? Please explain every step of your answer."),
    message(4, false, "A kilometre has 1000 metres. So 12 kilometres have 12 times 1000, which is 12 000 metres."),
]
let ended = [
    message(1, true, "Tell me everything."),
    message(2, false, "Everything began when") {
        $0.cut = .limit
        $0.speed = Speed(tokens: 2048, tokensPerSecond: 28.9, firstTokenSeconds: 0.4)
    },
    message(3, true, "go on"),
    message(4, false, "the universe") {
        $0.stopped = true
        $0.speed = Speed(tokens: 2, tokensPerSecond: 27, firstTokenSeconds: 0.4)
    },
    message(5, true, "and then?"),
    message(6, false, "") { _ in },
]

func chat(_ messages: [Message], _ result: TestResult, answering: Bool = false) -> Screen {
    screen {
        $0.card = nil
        $0.result = result
        $0.messages = messages
        $0.answering = answering
    }
}

/// A photo that is not there: the stubs draw their own.
let photo = Picture(file: URL(fileURLWithPath: "/nowhere"), thumbnail: URL(fileURLWithPath: "/nowhere"), size: Extent(4032, 3024))
let seen = [
    Message(id: 1, mine: true, text: "Which flower is this, and where does it grow?", picture: photo),
    message(2, false, "An alpine rose. It grows above the trees, on stony meadows."),
    Message(id: 3, mine: true, text: "", picture: photo),
    message(4, false, "Hills under a low sun, early in the day.") {
        $0.speed = Speed(tokens: 11, tokensPerSecond: 28.9, firstTokenSeconds: 0.9)
    },
]

func seeing(_ messages: [Message], _ change: (inout Screen) -> Void = { _ in }) -> Screen {
    var screen = chat(messages, TestResult(backend: .cpu, compared: 8, sharp: false))
    screen.pictures = true
    change(&screen)
    return screen
}

let small = "The model needs 3.10 GB of memory; of this device's 4.00 GB an app gets about 2.40 GB."
let wrong = "ane: it computes wrongly: 0 passed, 8 failed, 0 not compared, by logits. First: step 0: a logit is off by "
    + "3.1; 0.4 is allowed\ngpu: it does not load: Unable to create a model.\n"
    + "cpu: it computes wrongly: 7 passed, 1 failed"
let screens: [(String, Screen)] = [
    ("looking", Screen()),
    ("missing", screen { $0.card = .missing(bytes: 2_590_000_000, actions: [.download, .choose]) }),
    ("downloading", screen { $0.card = .busy(.downloading, done: 1_040_000_000, total: 2_590_000_000) }),
    ("checking", screen { $0.card = .busy(.checking, done: 2_000_000_000, total: 2_590_000_000) }),
    ("loading", screen { $0.card = .busy(.loading, done: 0, total: 0) }),
    ("testing", screen { $0.card = .busy(.testing, done: 3, total: 8) }),
    ("empty", chat([], passed)),
    ("chat", chat(talk, passed, answering: true)),
    ("fallback", chat(Array(talk.prefix(2)), fellBack)),
    ("ended", chat(ended, TestResult(backend: .cpu, compared: 0, sharp: false), answering: true)),
    ("picture", seeing(seen)),
    ("picture-chosen", seeing(Array(seen.prefix(2))) { $0.picture = photo }),
    ("picture-refused", seeing(Array(seen.prefix(2))) { $0.pictureTrouble = .unreadable }),
    ("memory", failure(.memory, small, .retry, .goOn)),
    ("wrong", failure(.selfTest, wrong, .retry)),
    ("network", failure(.network, "The connection failed 8 times in a row: timed out.", .download, .choose)),
    ("full", failure(.full, "the conversation has filled its context", .newChat, .back)),
]

@MainActor
func show<V: View>(_ name: String, _ view: V) {
    print(Json.object(["name": .text(name), "html": .text(view.draw(Page()))]).written())
}

for (name, screen) in screens { show(name, RootView(screen: screen, presenter: presenter)) }
show("about", AboutView(screen: chat([], fellBack)) {})
