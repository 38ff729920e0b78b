import Foundation

/// The functions that a template finds without any of its own.
extension Renderer {
    func function(_ name: String, _ positional: [Value], _ named: [(name: String, value: Value)]) throws -> Value {
        switch name {
        case "dict", "namespace":
            guard positional.count <= 1 else { throw Refused("\(name)() takes one mapping at most") }
            var mapping = Mapping()
            switch positional.first {
            case nil: break
            case .mapping(let given): mapping = given
            case .some(let value):
                for pair in try elements(value) {
                    let parts = try elements(pair)
                    guard parts.count == 2 else { throw Refused("\(name)() of what are no pairs") }
                    try mapping.set(parts[0], parts[1])
                }
            }
            try charge(mapping.keys.count)
            if name == "dict" {
                for (name, value) in named { try mapping.set(.text(name), value) }
                return .mapping(mapping)
            }
            return try namespace(mapping, named)
        case "raise_exception":
            guard positional.count + named.count == 1 else { throw Refused("raise_exception() takes one message") }
            throw Raised(message: try text(positional.first ?? named[0].value).string)
        case "strftime_now":
            guard positional.count == 1, named.isEmpty, case .text(let format) = positional[0] else {
                throw Refused("strftime_now() takes one text")
            }
            return .text(TemplateText(try Day.now(format.string)))
        default:
            guard named.isEmpty else { throw Refused("\(name)() takes no named arguments") }
            return try range(positional)
        }
    }

    private func namespace(_ mapping: Mapping, _ named: [(name: String, value: Value)]) throws -> Value {
        var members: [String: Value] = [:]
        for (key, value) in zip(mapping.keys, mapping.values) {
            guard case .text(let name) = key else { throw Refused("a namespace's attribute is a \(key.type)") }
            members[name.string] = value
        }
        for (name, value) in named { members[name] = value }
        return .namespace(try Namespace(members))
    }

    private func range(_ given: [Value]) throws -> Value {
        let bounds = try given.map { value in
            guard let whole = value.whole else { throw Refused("a range of \(value.type)") }
            return whole
        }
        guard (1...3).contains(bounds.count) else { throw Refused("range() takes 1 to 3 numbers") }
        let from = bounds.count > 1 ? bounds[0] : 0
        let to = bounds.count > 1 ? bounds[1] : bounds[0]
        let step = bounds.count > 2 ? bounds[2] : 1
        guard step != 0, step.magnitude < 1 << 62 else { throw Refused("a range with a step of \(step)") }
        // As sandboxed Jinja has it.
        let count = (Double(to) - Double(from)) / Double(step)
        guard count <= 100_000, from.magnitude < 1 << 62, to.magnitude < 1 << 62 else {
            throw Refused("a range of more than 100000 numbers")
        }
        let numbers = Array(stride(from: from, to: to, by: step))
        try charge(numbers.count)
        return try .list(numbers.map { .integer($0) })
    }
}

/// The day, in the words of `strftime`; names are English ones.
enum Day {
    static func now(_ format: String) throws -> String {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .current
        return try text(format, calendar.dateComponents(
            [.year, .month, .day, .hour, .minute, .second, .weekday], from: Date()))
    }

    static func text(_ format: String, _ day: DateComponents) throws -> String {
        let months = [
            "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
            "November", "December",
        ]
        let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
        let month = months[max(1, min(12, day.month ?? 1)) - 1]
        let weekday = days[max(1, min(7, day.weekday ?? 1)) - 1]
        let hour = day.hour ?? 0
        func two(_ number: Int?) -> String { (number ?? 0) < 10 ? "0\(number ?? 0)" : "\(number ?? 0)" }
        var out = String.UnicodeScalarView()
        var rest = format.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            guard scalar == "%" else {
                out.append(scalar)
                continue
            }
            let word: String
            switch rest.popFirst() {
            case "Y": word = "\(day.year ?? 0)"
            case "y": word = two((day.year ?? 0) % 100)
            case "m": word = two(day.month)
            case "d": word = two(day.day)
            case "H": word = two(day.hour)
            case "I": word = two((hour + 11) % 12 + 1)
            case "M": word = two(day.minute)
            case "S": word = two(day.second)
            case "p": word = hour < 12 ? "AM" : "PM"
            case "B": word = month
            case "b": word = String(month.prefix(3))
            case "A": word = weekday
            case "a": word = String(weekday.prefix(3))
            case "%": word = "%"
            case let odd: throw Refused("strftime_now() with %\(odd.map { String($0) } ?? "")")
            }
            out.append(contentsOf: word.unicodeScalars)
        }
        return String(out)
    }
}
