package dev.gemmabridge.core

/** Who speaks; [wire] is the name in `golden.json` and in the engine's messages. */
enum class Role(val wire: String) {
    SYSTEM("system"),
    USER("user"),
    ASSISTANT("assistant"),
}

/** One turn of a conversation. */
data class Turn(val role: Role, val text: String)
