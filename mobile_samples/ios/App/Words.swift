import Foundation
import GemmaChat
import GemmaCore

/// The words for what a `Screen` says, in the user's language. All texts of the user interface are here and in the
/// string catalog; the others come from the manifest or from an error's message.
enum Words {
    static var appName: String { String(localized: "Gemma on device") }
    static var about: String { String(localized: "About the model") }
    static var newChat: String { String(localized: "New chat") }
    static var hint: String { String(localized: "Message") }
    static var send: String { String(localized: "Send") }
    static var stop: String { String(localized: "Stop the answer") }
    static var waiting: String { String(localized: "…") }
    static var emptyChat: String { String(localized: "Ask something. Nothing you write leaves this device.") }
    static var model: String { String(localized: "Model") }
    static var name: String { String(localized: "Name") }
    static var source: String { String(localized: "Made from") }
    static var licence: String { String(localized: "Licence") }
    static var proven: String { String(localized: "Proven before it was published") }
    static var passed: String { String(localized: "Passed") }
    static var thisDevice: String { String(localized: "On this device") }
    static var testAgain: String { String(localized: "Test everything again") }
    static var privacy: String {
        String(localized: "The model runs on this device. The app loads nothing from a network but the model itself.")
    }
    static var done: String { String(localized: "Done") }

    static func ready(_ name: String) -> String { String(localized: "\(name) is ready") }

    static func said(_ message: Message) -> String {
        let parts = [message.picture.map(picture) ?? "", message.text]
        let text = parts.filter { !$0.isEmpty }.joined(separator: ". ")
        return message.mine ? String(localized: "You: \(text)") : String(localized: "Model: \(text)")
    }

    static var addPicture: String { String(localized: "Add a picture") }
    static var choosePicture: String { String(localized: "Choose a picture") }
    static var takePhoto: String { String(localized: "Take a photo") }
    static var removePicture: String { String(localized: "Remove the picture") }

    /// What goes with the next message, or why the picture that was chosen does not.
    static func attached(_ screen: Screen) -> String {
        if screen.readsPicture { return String(localized: "Reading the picture…") }
        return screen.pictureTrouble.map(trouble) ?? screen.picture.map(picture) ?? ""
    }

    /// What can be said of a picture without looking at it.
    static func picture(_ picture: Picture) -> String {
        String(localized: "Your picture, \(String(picture.size.width)) by \(String(picture.size.height)) pixels")
    }

    static func title(_ card: Card) -> String {
        switch card {
        case .busy(let work, _, _): return title(work)
        case .missing: return String(localized: "The model is not on this device yet")
        case .failed(let failure): return title(failure.problem)
        }
    }

    static func title(_ work: Work) -> String {
        switch work {
        case .looking: return String(localized: "Looking for the model…")
        case .downloading: return String(localized: "Downloading the model…")
        case .importing: return String(localized: "Copying the model…")
        case .checking: return String(localized: "Checking every byte of the model…")
        case .loading: return String(localized: "Loading the model…")
        case .testing: return String(localized: "Testing the model on this device…")
        }
    }

    static func title(_ problem: Problem) -> String {
        switch problem {
        case .bundle: return String(localized: "This app was packed wrongly")
        case .space: return String(localized: "Not enough free space")
        case .network: return String(localized: "The download did not finish")
        case .file: return String(localized: "This is not the model")
        case .memory: return String(localized: "This device has too little memory")
        case .engine: return String(localized: "The model does not start")
        case .selfTest: return String(localized: "The model gives wrong answers on this device")
        case .answer: return String(localized: "The answer broke off")
        case .tooLong: return String(localized: "This message is too long")
        case .full: return String(localized: "This conversation is full")
        }
    }

    static func text(_ name: String, _ card: Card) -> String {
        switch card {
        case .busy(.loading, _, _): return String(localized: "The first time this may take some minutes.")
        case .busy: return ""
        case .missing(let bytes, _):
            return String(localized: "\(name) takes \(size(bytes)). Its SHA-256 is checked before it is used.")
        case .failed(let failure): return help(failure.problem)
        }
    }

    static func progress(_ work: Work, _ done: Int64, _ total: Int64) -> String {
        if work == .testing { return String(localized: "\(String(done)) of \(String(total))") }
        return String(localized: "\(size(done)) of \(size(total))")
    }

    static func action(_ action: Action) -> String {
        switch action {
        case .download: return String(localized: "Download")
        case .choose: return String(localized: "Choose a folder")
        case .cancel: return String(localized: "Cancel")
        case .retry: return String(localized: "Try again")
        case .goOn: return String(localized: "Go on anyway")
        case .newChat: return newChat
        case .back: return String(localized: "Back to the chat")
        }
    }

    static func result(_ result: TestResult) -> String {
        if result.compared == 0 { return String(localized: "Self-test on \(name(result.backend)): not compared") }
        return String(localized: "Self-test passed on \(name(result.backend))")
    }

    /// What the verdict rests on.
    static func compared(_ result: TestResult) -> String {
        if result.compared == 0 { return String(localized: "Nothing could be compared; answers may be wrong.") }
        if result.sharp {
            return String(localized: "\(result.compared) answers compared with the reference by their logits")
        }
        return String(localized: "\(result.compared) answers compared with the reference by their text")
    }

    static func left(_ left: TestResult.Left) -> String {
        String(localized: "Not on \(name(left.backend)): \(left.why)")
    }

    /// Below an answer: why it ended early, how fast it came; empty when there is nothing to say.
    static func note(_ message: Message) -> String {
        var parts: [String] = []
        if message.stopped { parts.append(String(localized: "Stopped.")) }
        switch message.cut {
        case .limit: parts.append(String(localized: "Cut at the longest answer allowed. Write “go on” for more."))
        case .context: parts.append(String(localized: "Cut: this conversation is full. Begin a new chat."))
        case nil: break
        }
        if let speed = message.speed {
            let rate = speed.tokensPerSecond.formatted(.number.precision(.fractionLength(1)))
            parts.append(String(localized: "\(speed.tokens) tokens") + ", " + String(localized: "\(rate) tokens/s"))
        }
        return parts.joined(separator: " ")
    }

    private static func name(_ backend: Backend) -> String {
        switch backend {
        case .neuralEngine: return String(localized: "Neural Engine")
        case .gpu: return String(localized: "GPU")
        case .cpu: return String(localized: "CPU")
        }
    }

    private static func size(_ bytes: Int64) -> String {
        bytes.formatted(.byteCount(style: .file))
    }
}
