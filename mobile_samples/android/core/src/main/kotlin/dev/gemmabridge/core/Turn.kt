package dev.gemmabridge.core

/** Who speaks; [wire] is the name in `golden.json` and in the engine's messages. */
enum class Role(val wire: String) {
    SYSTEM("system"),
    USER("user"),
    ASSISTANT("assistant"),
    TOOL("tool"),
}

/**
 * One turn of a conversation.
 *
 * @property calls tools that the assistant asked for after its [text], which is empty most often then.
 * @property answers what they answered, in a turn of [Role.TOOL].
 * @property pictures paths of files in the user's turn; the model sees them before [text].
 */
data class Turn @JvmOverloads constructor(
    val role: Role,
    val text: String,
    val calls: List<ToolCall> = emptyList(),
    val answers: List<ToolAnswer> = emptyList(),
    val pictures: List<String> = emptyList(),
) {
    /** The same turn with every control token in it spelled harmlessly, as an engine must be given it. */
    @Suppress("UNCHECKED_CAST") // a map stays a map with texts for keys
    fun harmless(): Turn = Turn(
        role,
        ControlTokens.harmless(text),
        calls.map { it.copy(arguments = ControlTokens.harmlessValue(it.arguments) as Map<String, Any?>) },
        answers.map { it.copy(value = ControlTokens.harmlessValue(it.value)) },
        pictures,
    )
}
