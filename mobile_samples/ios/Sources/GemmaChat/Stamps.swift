import Foundation
import GemmaCore

/// Which files were found right: the same length and time later is taken for the same file.
struct Stamps {
    /// What the system says of a file.
    struct Look {
        let bytes: Int64
        let changed: Date
    }

    private let file: URL
    private var marks: [String: String]

    /// - Parameter file: where they are kept; one that cannot be read holds none.
    init(_ file: URL) {
        self.file = file
        let lines = (try? String(contentsOf: file, encoding: .utf8))?.split(separator: "\n") ?? []
        let pairs = lines.compactMap { line -> (String, String)? in
            let words = line.split(separator: "\t")
            return words.count == 2 ? (String(words[0]), String(words[1])) : nil
        }
        marks = Dictionary(pairs, uniquingKeysWith: { $1 })
    }

    func has(_ file: BundleFile, _ place: Place) -> Bool {
        guard let mark = mark(file, place) else { return false }
        return marks[key(file, place)] == mark
    }

    /// Call after the file was checked.
    mutating func put(_ file: BundleFile, _ place: Place) {
        marks[key(file, place)] = mark(file, place)
        let text = marks.sorted { $0.key < $1.key }.map { "\($0.key)\t\($0.value)\n" }.joined()
        // Without it the files are read once more at the next start, nothing else.
        try? FileManager.default.createDirectory(
            at: self.file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try? text.write(to: self.file, atomically: true, encoding: .utf8)
    }

    /// Nil where there is no file.
    static func look(_ url: URL) -> Look? {
        guard let found = try? FileManager.default.attributesOfItem(atPath: url.path),
            found[.type] as? FileAttributeType == .typeRegular,
            let bytes = found[.size] as? NSNumber, let changed = found[.modificationDate] as? Date
        else { return nil }
        return Look(bytes: bytes.int64Value, changed: changed)
    }

    private func key(_ file: BundleFile, _ place: Place) -> String {
        "\(place.name)/\(file.name)"
    }

    private func mark(_ file: BundleFile, _ place: Place) -> String? {
        Stamps.look(place.folder.appendingPathComponent(file.name)).map {
            "\(file.sha256) \($0.bytes) \($0.changed.timeIntervalSinceReferenceDate)"
        }
    }
}
