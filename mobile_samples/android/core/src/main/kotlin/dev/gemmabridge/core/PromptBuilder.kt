package dev.gemmabridge.core

/**
 * How turns are written in a prompt.
 *
 * @property open before a turn's role, [close] after its text.
 * @property think stands in the system turn where the model may think before it answers.
 * @property names role names as the model knows them.
 */
data class TurnMarkers(
    val open: String,
    val close: String,
    val think: String,
    val names: Map<Role, String>,
) {
    companion object {
        /** Gemma 4's own. */
        @JvmField
        val GEMMA_4 = TurnMarkers(
            open = "<|turn>",
            close = "<turn|>",
            think = "<|think|>",
            names = mapOf(Role.SYSTEM to "system", Role.USER to "user", Role.ASSISTANT to "model"),
        )

        internal fun read(fields: Fields) = TurnMarkers(
            fields.text("open"),
            fields.text("close"),
            fields.text("think"),
            mapOf(
                Role.SYSTEM to fields.text("system"),
                Role.USER to fields.text("user"),
                Role.ASSISTANT to fields.text("assistant"),
            ),
        )
    }
}

/**
 * Writes a conversation as the text that the model reads, up to where its answer begins.
 *
 * The engine does this itself with the template inside the model file; this one is for engines that continue plain
 * text, and to find a template that went wrong: a golden's `prompt` must come out of its `messages`.
 */
class PromptBuilder(private val markers: TurnMarkers) {
    /** @param turns a system turn first if there is one. Thinking is off unless asked for. */
    fun build(turns: List<Turn>, thinking: Boolean = false): String {
        val out = StringBuilder()
        var rest = turns
        val system = turns.firstOrNull()?.takeIf { it.role == Role.SYSTEM }
        if (system != null) rest = turns.drop(1)
        if (system != null || thinking) {
            val text = (if (thinking) markers.think + "\n" else "") + (system?.let { clean(it.text) } ?: "")
            turn(out, Role.SYSTEM, text.trim())
        }
        for (turn in rest) {
            require(turn.role != Role.SYSTEM) { "a system turn comes first or not at all" }
            require(turn.role != Role.TOOL && turn.calls.isEmpty()) { "tools are written by the model's own template alone" }
            turn(out, turn.role, clean(turn.text))
        }
        return out.append(markers.open).append(markers.names[Role.ASSISTANT]).append('\n').toString()
    }

    private fun turn(out: StringBuilder, role: Role, text: String) {
        out.append(markers.open).append(markers.names[role]).append('\n').append(text).append(markers.close).append('\n')
    }

    /** A marker that somebody typed must not become a marker of the prompt, be it Gemma 4's or the manifest's. */
    private fun clean(text: String): String {
        var out = ControlTokens.harmless(text)
        for (marker in listOf(markers.open, markers.close, markers.think)) {
            out = out.replace(marker, marker.take(1) + ControlTokens.JOINER + marker.drop(1))
        }
        return out.trim()
    }
}
