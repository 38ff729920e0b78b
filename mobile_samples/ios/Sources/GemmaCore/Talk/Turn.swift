/// Who speaks; the raw value is the name in `golden.json` and in chat templates.
public enum Role: String, Sendable {
    case system, user, assistant
}

/// One turn of a conversation.
public struct Turn: Equatable, Sendable {
    public let role: Role
    public let text: String
    /// Paths of files in the user's turn; the model sees them before the text.
    public let pictures: [String]

    public init(_ role: Role, _ text: String, pictures: [String] = []) {
        self.role = role
        self.text = text
        self.pictures = pictures
    }
}
