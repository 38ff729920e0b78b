import Foundation
import GemmaChat
import GemmaCore

extension Words {
    /// Why a picture is not taken, and what to do.
    static func trouble(_ trouble: PictureTrouble) -> String {
        switch trouble {
        case .gone: return String(localized: "That picture could not be opened. Choose another one.")
        case .unreadable: return String(localized: "That is no picture this device can read. Choose another one.")
        case .cutOff: return String(localized: "That picture’s file ends too early. Choose another one.")
        case .tooLarge: return String(localized: "That picture is too large. Choose a smaller one.")
        case .memory:
            return String(localized: "Too little memory is free for a picture that large. Choose a smaller one.")
        case .space:
            return String(localized: "Too little storage is free to keep the picture. Free some and choose it again.")
        }
    }

    /// What to do about a problem.
    static func help(_ problem: Problem) -> String {
        switch problem {
        case .bundle:
            return String(localized: "Build the app again from a complete bundle.")
        case .space:
            return String(localized: "Free some space, then try again. What came so far is kept.")
        case .network:
            return String(localized: "What was downloaded so far is kept; trying again goes on from there.")
        case .file:
            return String(localized: "What was wrong is removed. Choose this very bundle's folder, or download it.")
        case .memory:
            return String(
                localized: "Close other apps and try again. Going on anyway may make the system close this app.")
        case .engine:
            return String(localized: "Try again. If it stays so, this device or its system cannot run the model.")
        case .selfTest:
            return String(
                localized: "Its answers differ from the reference, so it is not used. The details are worth a report.")
        case .answer:
            return String(localized: "The conversation so far is kept. Send the message again.")
        case .tooLong:
            return String(
                localized: "The model cannot read that much at once. Your message is still in the field: shorten it.")
        case .full:
            return String(
                localized: "Your message does not fit into what is left. It is still in the field: a new chat has room.")
        }
    }
}
