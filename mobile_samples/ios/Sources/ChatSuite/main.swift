import Foundation
import GemmaCore

// Arguments: the folder of a bundle, and one to work in.

guard CommandLine.arguments.count == 3 else {
    print("ChatSuite BUNDLE WORK")
    exit(2)
}
let bundle = URL(fileURLWithPath: CommandLine.arguments[1])
let suite = Suite(URL(fileURLWithPath: CommandLine.arguments[2]))
await conversationCases(suite)
await fallbackCases(suite)
await arrivalCases(suite, bundle)
await loadingCases(suite, bundle)
await chatCases(suite, bundle)
await sizeCases(suite)
await pictureCases(suite, bundle)
suite.end()
