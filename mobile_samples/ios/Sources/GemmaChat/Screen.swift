import GemmaCore

/// What the app does when nobody can write yet.
public enum Work: String, Sendable, CaseIterable {
    case looking, downloading, importing, checking, loading, testing
}

/// What went wrong; each has a title and a piece of advice in the string catalog.
public enum Problem: String, Sendable, CaseIterable {
    case bundle, space, network, file, memory, engine, selfTest, answer, tooLong, full
}

/// What a button on a card does.
public enum Action: String, Sendable, CaseIterable {
    case download, choose, cancel, retry, goOn, newChat, back
}

/// What went wrong and what can be done; `detail` is for people who want to know more, in the words of who found it.
public struct Failure: Equatable, Sendable {
    public let problem: Problem
    public let detail: String
    public let actions: [Action]

    public init(_ problem: Problem, _ detail: String, _ actions: [Action]) {
        self.problem = problem
        self.detail = detail
        self.actions = actions
    }
}

/// What stands in place of the chat until there is one.
public enum Card: Equatable, Sendable {
    /// Work in progress, in bytes, of `Work.testing` in prompts; `total` is 0 where nobody knows how much is left.
    case busy(Work, done: Int64, total: Int64)
    /// So many bytes of the model are not here.
    case missing(bytes: Int64, actions: [Action])
    case failed(Failure)

    public var actions: [Action] {
        switch self {
        case .busy(.downloading, _, _), .busy(.importing, _, _): return [.cancel]
        case .busy: return []
        case .missing(_, let actions): return actions
        case .failed(let failure): return failure.actions
        }
    }

    public var isBusy: Bool {
        if case .busy = self { true } else { false }
    }

    public var isFailure: Bool {
        if case .failed = self { true } else { false }
    }

    /// Empty where there is none.
    public var detail: String {
        if case .failed(let failure) = self { failure.detail } else { "" }
    }
}

/// What cut an answer: the limit of an answer, or the end of the context, after which nothing more can be said.
public enum Cut: Sendable {
    case limit, context
}

/// One message in the chat.
public struct Message: Equatable, Identifiable, Sendable {
    public let id: Int
    public let mine: Bool
    public var text: String
    /// Of an answer that is there, where the engine measured it.
    public var speed: Speed?
    public var stopped = false
    public var cut: Cut?
    public let picture: Picture?

    public init(id: Int, mine: Bool, text: String, picture: Picture? = nil) {
        self.id = id
        self.mine = mine
        self.text = text
        self.picture = picture
    }
}

/// What the self-test on this device said; `left` is what was tried before.
public struct TestResult: Equatable, Sendable {
    public struct Left: Equatable, Sendable {
        public let backend: Backend
        public let why: String

        public init(_ backend: Backend, _ why: String) {
            self.backend = backend
            self.why = why
        }
    }

    public let backend: Backend
    /// Answers that were held against the reference; 0: nothing is known.
    public let compared: Int
    /// By logits, not by text alone.
    public let sharp: Bool
    public let left: [Left]

    public init(backend: Backend, compared: Int, sharp: Bool, left: [Left] = []) {
        self.backend = backend
        self.compared = compared
        self.sharp = sharp
        self.left = left
    }
}

/// What the bundle says of the model.
public struct About: Equatable, Sendable {
    public let name: String
    public let source: String
    public let licence: String
    public let rungs: [Rung]

    public init(_ manifest: Manifest) {
        name = manifest.name
        source = manifest.source
        licence = manifest.licence
        rungs = manifest.rungs
    }
}

/// Everything that is to be seen: drawing it twice changes nothing.
public struct Screen: Equatable, Sendable {
    /// Nil until the bundle was read.
    public var about: About?
    /// Nil: there is a chat.
    public var card: Card? = .busy(.looking, done: 0, total: 0)
    public var result: TestResult?
    public var messages: [Message] = []
    public var answering = false
    /// Covers the chat until the user answers it.
    public var failure: Failure?
    /// Goes back into the field: a message that was not answered.
    public var draft = ""
    /// Whether a picture can go with a message.
    public var pictures = false
    /// Goes with the next message.
    public var picture: Picture?
    /// One is being read, and will go with it: nothing is sent until it is there.
    public var readsPicture = false
    /// Why the one that was chosen last does not.
    public var pictureTrouble: PictureTrouble?

    public init() {}

    /// What is to be seen in place of the chat; nil: the chat.
    public var cover: Card? { card ?? failure.map(Card.failed) }

    /// How the way to a chat ended; nil while it goes on.
    public var passed: Bool? {
        guard let card else { return true }
        return card.isBusy ? nil : false
    }
}
