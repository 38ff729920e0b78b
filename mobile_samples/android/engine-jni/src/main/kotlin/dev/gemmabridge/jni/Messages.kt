package dev.gemmabridge.jni

import dev.gemmabridge.core.Json
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Tool
import dev.gemmabridge.core.ToolCall
import dev.gemmabridge.core.Turn

/** Messages as the engine reads and writes them: JSON with a role and a content. */
internal object Messages {
    fun one(turn: Turn): String {
        val message = LinkedHashMap<String, Any?>()
        message["role"] = turn.role.wire
        if (turn.text.isNotEmpty() || turn.calls.isEmpty()) message["content"] = turn.text
        if (turn.pictures.isNotEmpty()) message["content"] = pictures(turn) + words(turn)
        if (turn.role == Role.TOOL) {
            message["content"] = turn.answers.map { mapOf("type" to "tool_response", "name" to it.name, "response" to it.value) }
        }
        if (turn.calls.isNotEmpty()) {
            message["tool_calls"] = turn.calls.map {
                mapOf("type" to "function", "function" to mapOf("name" to it.name, "arguments" to it.arguments))
            }
        }
        return Json.write(message)
    }

    private fun pictures(turn: Turn) = turn.pictures.map { mapOf("type" to "image", "path" to it) }

    private fun words(turn: Turn) =
        if (turn.text.isEmpty()) emptyList() else listOf(mapOf("type" to "text", "text" to turn.text))

    fun all(turns: List<Turn>): String = turns.joinToString(",", "[", "]") { one(it.harmless()) }

    /** How tools are declared; descriptions may be the app's own words, and are taken as they are. */
    fun tools(tools: List<Tool>): String = Json.write(
        tools.map {
            val function = mapOf("name" to it.name, "description" to it.description, "parameters" to it.parameters)
            mapOf("type" to "function", "function" to function)
        },
    )

    /** What the model asks for in a chunk. */
    fun calls(chunk: String): List<ToolCall> {
        if (CALLS !in chunk) return emptyList()
        val calls = read(chunk)?.get(CALLS) as? List<*> ?: return emptyList()
        return calls.mapNotNull { (it as? Map<*, *>)?.get("function") as? Map<*, *> }.map { function ->
            val arguments = function["arguments"] as? Map<*, *> ?: emptyMap<Any, Any>()
            ToolCall(function["name"] as? String ?: "", arguments.entries.associate { it.key.toString() to it.value })
        }
    }

    private fun read(chunk: String): Map<*, *>? = try {
        Json.parse(chunk) as? Map<*, *> ?: emptyMap<Any, Any>()
    } catch (error: RefusedException) {
        null
    }

    private const val CALLS = "tool_calls"

    /** The text of a chunk; content that is no text, and a thought in a channel of its own, are left out. */
    fun text(chunk: String): String {
        if (chunk.isEmpty()) return ""
        val message = read(chunk) ?: return chunk // an engine that sends plain text
        val content = message["content"]
        if (content is String) return content
        return (content as? List<*>).orEmpty().joinToString("") { (it as? Map<*, *>)?.get("text") as? String ?: "" }
    }
}
