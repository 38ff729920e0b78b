package dev.gemmabridge.core

/**
 * Makes text harmless that spells a control token: what a person types, and what a tool answers, must not open a turn.
 *
 * The engine's tokenizer takes every `<turn|>` in a prompt for the token, whoever wrote it. So a word joiner (U+2060: no
 * width, no meaning) goes behind the `<` of every such spelling: `<|name>`, `<name|>`, `<|name|>` with any name, and
 * the older names between plain brackets. Tags of HTML, `a < b` and pipes stay as they are.
 */
object ControlTokens {
    const val JOINER = '\u2060'
    private val SPELLED = Regex(
        "<(?=\\|[^<> \\t\\r\\n]+>|[^<>| \\t\\r\\n\\u2060]+\\|>|(?:pad|eos|bos|unk|mask|unused[0-9]+|(?:start|end)_of_[a-z_]+)>)",
    )

    /** The text without any control token in it; where it has none, the same text. */
    @JvmStatic
    fun harmless(text: String): String = if ('<' in text) SPELLED.replace(text, "<$JOINER") else text

    /** The same for every text in a JSON value, keys included. */
    @JvmStatic
    fun harmlessValue(value: Any?): Any? = when (value) {
        is String -> harmless(value)
        is List<*> -> value.map { harmlessValue(it) }
        is Map<*, *> -> value.entries.associate { harmless(it.key.toString()) to harmlessValue(it.value) }
        else -> value
    }
}
