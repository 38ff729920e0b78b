// swift-tools-version: 6.0

import PackageDescription

let package = Package(
    name: "Gemma",
    platforms: [.iOS(.v18), .macOS(.v15)],
    products: [
        .library(name: "GemmaCore", targets: ["GemmaCore"]),
        .library(name: "GemmaCoreML", targets: ["GemmaCoreML"]),
        .library(name: "GemmaLiteRT", targets: ["GemmaLiteRT"]),
        .library(name: "GemmaChat", targets: ["GemmaChat"]),
    ],
    targets: [
        .target(name: "GemmaCore"),
        .target(name: "GemmaCoreML", dependencies: ["GemmaCore"]),
        .target(name: "CLiteRTLM"),
        .target(name: "GemmaLiteRT", dependencies: ["GemmaCore", "CLiteRTLM"]),
        .target(name: "GemmaChat", dependencies: ["GemmaCore"]),
        // For tests alone.
        .target(name: "GemmaProgram", dependencies: ["GemmaCore"]),
        .executableTarget(name: "Driver", dependencies: ["GemmaCore", "GemmaProgram"]),
        .executableTarget(name: "ChatSuite", dependencies: ["GemmaCore", "GemmaChat"]),
        .executableTarget(name: "LiteRTSuite", dependencies: ["GemmaCore", "GemmaLiteRT"]),
    ],
    swiftLanguageModes: [.v6]
)
