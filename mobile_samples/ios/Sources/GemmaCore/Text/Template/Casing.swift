/// Upper and lower case as Python has them: by Unicode's full mappings, whatever the user's language.
enum Casing {
    static func upper(_ text: TemplateText) -> TemplateText {
        TemplateText(text.string.unicodeScalars.map(\.properties.uppercaseMapping).joined())
    }

    static func lower(_ text: TemplateText) -> TemplateText {
        lower(text.scalars[...])
    }

    static func capitalized(_ text: TemplateText) -> TemplateText {
        let scalars = text.scalars
        guard let first = scalars.first else { return text }
        let rest = lower(scalars)
        return TemplateText(first.properties.titlecaseMapping) + TemplateText(rest.dropFirst().joined())
    }

    /// `str.title`: the first letter after anything that has no case.
    static func titled(_ text: TemplateText) -> TemplateText {
        let scalars = text.scalars
        let lowered = lower(scalars)
        var inside = false
        var out = ""
        for (i, scalar) in scalars.enumerated() {
            out += inside ? lowered[i] : scalar.properties.titlecaseMapping
            inside = scalar.properties.isCased
        }
        return TemplateText(out)
    }

    /// The filter `title`: the first letter of each word, words being cut at blanks, hyphens and opening brackets.
    static func titledWords(_ text: TemplateText) -> TemplateText {
        var out = TemplateText("")
        var word: [Unicode.Scalar] = []
        func end() {
            guard let first = word.first else { return }
            out = out + TemplateText(first.properties.uppercaseMapping) + lower(word.dropFirst())
            word = []
        }
        for scalar in text.string.unicodeScalars {
            if TemplateText.isBlank(scalar) || "-({[<".unicodeScalars.contains(scalar) {
                end()
                out = out + TemplateText([scalar])
            } else {
                word.append(scalar)
            }
        }
        end()
        return out
    }

    private static func lower(_ scalars: ArraySlice<Unicode.Scalar>) -> TemplateText {
        TemplateText(lower(Array(scalars)).joined())
    }

    /// Each code point in lower case; a sigma at the end of a word has a form of its own.
    private static func lower(_ scalars: [Unicode.Scalar]) -> [String] {
        scalars.enumerated().map { i, scalar in
            guard scalar == "\u{3A3}" else { return scalar.properties.lowercaseMapping }
            let before = scalars[..<i].last { !$0.properties.isCaseIgnorable }
            let after = scalars[(i + 1)...].first { !$0.properties.isCaseIgnorable }
            let final = before?.properties.isCased ?? false && !(after?.properties.isCased ?? false)
            return final ? "\u{3C2}" : "\u{3C3}"
        }
    }
}
