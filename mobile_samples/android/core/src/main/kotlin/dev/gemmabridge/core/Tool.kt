package dev.gemmabridge.core

/**
 * Something that the model may have done for it.
 *
 * Values are JSON's: text, Long, Double, Boolean, null, List, Map with texts for keys.
 */
interface Tool {
    /** Letters, digits and `_`. */
    val name: String

    /** For the model: what it does. */
    val description: String

    /** JSON schema of the arguments, of type `object`. */
    val parameters: Map<String, Any?>

    /**
     * Answers a call; on the thread that called [Conversation.say]. What it throws is told to the model.
     *
     * @param arguments as the model wrote them: nobody has held them against [parameters].
     */
    fun run(arguments: Map<String, Any?>): Any?
}

/** The model asks for a tool. */
data class ToolCall(val name: String, val arguments: Map<String, Any?>)

/** What the tool answered, or an `error` where it failed. */
data class ToolAnswer(val name: String, val value: Any?) {
    /** For people, in a line. */
    fun shown(): String {
        val text = (value as? String ?: Json.write(value)).replace(Regex("\\s+"), " ")
        return if (text.length > MOST_SHOWN) text.take(MOST_SHOWN) + "…" else text
    }

    private companion object {
        const val MOST_SHOWN = 80
    }
}
