package dev.gemmabridge.jni

import dev.gemmabridge.core.Json
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Turn

/** Messages as the engine reads and writes them: JSON with a role and a content. */
internal object Messages {
    fun one(turn: Turn): String =
        "{\"role\":${Json.quote(turn.role.wire)},\"content\":${Json.quote(turn.text)}}"

    fun all(turns: List<Turn>): String = turns.joinToString(",", "[", "]") { one(it) }

    /** The text of a chunk; content that is no text, and a thought in a channel of its own, are left out. */
    fun text(chunk: String): String {
        if (chunk.isEmpty()) return ""
        val message = try {
            Json.parse(chunk) as? Map<*, *> ?: return ""
        } catch (error: RefusedException) {
            return chunk // an engine that sends plain text
        }
        val content = message["content"]
        if (content is String) return content
        return (content as? List<*>).orEmpty().joinToString("") { (it as? Map<*, *>)?.get("text") as? String ?: "" }
    }
}
