// What Apple's Foundation has and Linux' has not; imported without being asked for.
import Foundation

extension String {
    public struct LocalizationValue: ExpressibleByStringInterpolation, Equatable, Sendable {
        let text: String

        public init(stringLiteral value: String) { text = value }
        public init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

        public struct StringInterpolation: StringInterpolationProtocol {
            var text = ""
            public init(literalCapacity: Int, interpolationCount: Int) {}
            public mutating func appendLiteral(_ literal: String) { text += literal }
            public mutating func appendInterpolation(_ string: String) { text += string }
            // The types that have a format specifier of their own, and no others.
            public mutating func appendInterpolation(_ value: Int) { text += "\(value)" }
            public mutating func appendInterpolation(_ value: Int64) { text += "\(value)" }
            public mutating func appendInterpolation(_ value: Double) { text += "\(value)" }
        }
    }

    /// The key itself, which is the text in the catalog's language.
    public init(
        localized key: String.LocalizationValue, table: String? = nil, bundle: Bundle? = nil, locale: Locale = .current,
        comment: StaticString? = nil
    ) {
        self = key.text
    }
}

extension URL {
    public static var cachesDirectory: URL { URL(fileURLWithPath: "") }
    public static var documentsDirectory: URL { URL(fileURLWithPath: "") }
    public static var applicationSupportDirectory: URL { URL(fileURLWithPath: "") }
    public func startAccessingSecurityScopedResource() -> Bool { true }
    public func stopAccessingSecurityScopedResource() {}
}
