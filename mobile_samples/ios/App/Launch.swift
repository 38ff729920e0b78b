import Foundation

/// How the app was built and started.
enum Launch {
    /// `-selfTest`: the app ends when `self-test.json` is written, with 0 where the model is right on this device.
    static let isSelfTest = ProcessInfo.processInfo.arguments.contains("-selfTest")

    /// Where the bundle's files are on a server; empty: people can only choose a folder.
    static let modelURL = Bundle.main.object(forInfoDictionaryKey: "ModelURL") as? String ?? ""
}
