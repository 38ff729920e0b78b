/// Who speaks; the raw value is the name in `golden.json` and in chat templates.
public enum Role: String, Sendable {
    case system, user, assistant
}

/// One turn of a conversation.
public struct Turn: Equatable, Sendable {
    public let role: Role
    public let text: String

    public init(_ role: Role, _ text: String) {
        self.role = role
        self.text = text
    }
}
