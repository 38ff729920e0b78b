package dev.gemmabridge.aar

import com.google.ai.edge.litertlm.Content
import com.google.ai.edge.litertlm.Contents
import com.google.ai.edge.litertlm.Message
import com.google.ai.edge.litertlm.OpenApiTool
import com.google.ai.edge.litertlm.ToolProvider
import com.google.ai.edge.litertlm.tool
import dev.gemmabridge.core.Json
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Tool
import dev.gemmabridge.core.Turn
import com.google.ai.edge.litertlm.ToolCall as GoogleToolCall

/** Turns and tools as Google's Kotlin API has them. */
internal object AarMessages {
    fun of(turn: Turn): Message = when (turn.role) {
        Role.USER -> if (turn.pictures.isEmpty()) Message.user(turn.text) else Message.user(Contents.of(pictures(turn)))
        Role.ASSISTANT -> Message.model(
            if (turn.text.isEmpty()) Contents.of(emptyList()) else Contents.of(turn.text),
            turn.calls.map { GoogleToolCall(it.name, it.arguments) },
        )
        Role.TOOL -> Message.tool(Contents.of(turn.answers.map { Content.ToolResponse(it.name, it.value) }))
        Role.SYSTEM -> throw IllegalArgumentException("a system turn comes first or not at all")
    }

    private fun pictures(turn: Turn): List<Content> {
        val words = if (turn.text.isEmpty()) emptyList() else listOf(Content.Text(turn.text))
        return turn.pictures.map { Content.ImageFile(it) } + words
    }

    fun declared(tool: Tool): ToolProvider = tool(
        object : OpenApiTool {
            override fun getToolDescriptionJsonString(): String = Json.write(
                mapOf("name" to tool.name, "description" to tool.description, "parameters" to tool.parameters),
            )

            override fun execute(paramsJsonString: String): String =
                throw IllegalStateException("automatic tool calling is off")
        },
    )
}
