package dev.gemmabridge.ort.template

import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Turn

/**
 * The chat template of a bundle: it makes the text of a conversation that a model was trained on.
 *
 * A template is a program in Jinja, and no file of a bundle says what it writes around a turn. This interpreter has the
 * part of the language that Gemma's templates use, and gives the text that transformers gives; a template that uses
 * more is refused when it is loaded. None may run without end: steps, text and depth are bounded.
 */
class ChatTemplate(source: String) {
    private val body: Statement

    init {
        if (source.length > MOST_CHARACTERS) throw RefusedException("the chat template has ${source.length} characters; $MOST_CHARACTERS are allowed")
        body = named { Statements(Cursor(Lexer(source).tokens())).template() }
    }

    /**
     * The text of a conversation, up to where the model's turn begins. It begins with the start token wherever the
     * template writes one: encode it without another.
     *
     * @param start the text of the start token, `bos_token`.
     * @param thinking whether the model may think before it answers, `enable_thinking`.
     * @throws RefusedException the template refuses the conversation, or needs what is not there.
     */
    fun render(turns: List<Turn>, start: String, thinking: Boolean): String = render(
        mapOf(
            "messages" to turns.map { mapOf("role" to it.role.wire, "content" to content(it)) },
            "bos_token" to start,
            "enable_thinking" to thinking,
            "add_generation_prompt" to true,
            "tools" to null,
            "documents" to null,
        ),
    )

    /** A text, or of a turn with pictures a list of parts, as transformers gives it to a template: these before the text. */
    private fun content(turn: Turn): Any {
        if (turn.pictures.isEmpty()) return turn.text
        return turn.pictures.map { mapOf("type" to "image") } + mapOf("type" to "text", "text" to turn.text)
    }

    /** The text that the template makes of its variables: texts, Long, Double, Boolean, null, lists, maps. */
    fun render(variables: Map<String, Any?>): String = named {
        val scope = Scope(null, Bounds())
        for ((name, value) in Methods.functions + variables) scope[name] = value
        try {
            StringBuilder().also { body.run(scope.inner(), it) }.toString()
        } catch (error: Raised) {
            throw RefusedException("it refuses the conversation: ${error.message?.replace('\n', ' ')}", error)
        }
    }

    private fun <T> named(action: () -> T): T = try {
        action()
    } catch (error: RefusedException) {
        throw RefusedException("the chat template, ${error.message}", error)
    }

    private companion object {
        const val MOST_CHARACTERS = 1 shl 20
    }
}
