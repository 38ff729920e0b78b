import Foundation
import GemmaCore
import GemmaLiteRT

// The sample's engine with the stock LiteRT-LM, for the tests. Arguments: liblitert-lm.so; the demo and the length of
// its context; its golden.json; the same with one text changed; the demo with damaged weights; one whose answers have
// no end, and its length; one that answers with three bytes, and its length; a folder for caches; close cycles; a model
// with a vision tower, one without, a folder of pictures.

let arguments = CommandLine.arguments
guard arguments.count == 16, let cycles = Int(arguments[12]) else {
    print("fifteen arguments are needed: see main.swift")
    exit(2)
}

func goldens(_ at: Int) throws -> GoldenFile {
    try GoldenFile([UInt8](Data(contentsOf: URL(fileURLWithPath: arguments[at]))))
}

func sized(_ at: Int) -> Sized {
    Sized(path: arguments[at], context: Int(arguments[at + 1]) ?? 0)
}

let models = Models(
    library: try LiteRTLibrary(path: arguments[1]), cache: URL(fileURLWithPath: arguments[11]), demo: sized(2),
    goldens: try goldens(4))
let engine = try await models.another()
await replays(models, engine, changed: try goldens(5), damaged: arguments[6])
await answers(models, engine, halves: sized(9))
await contexts(models, engine, endless: sized(7), halves: sized(9))
await pictures(models, seeing: arguments[13], blind: arguments[14], folder: arguments[15])
await closings(models, engine, endless: sized(7), cycles: cycles)
await engine.close()
