package dev.gemmabridge.ort.text

import dev.gemmabridge.core.Fields
import dev.gemmabridge.core.Json
import dev.gemmabridge.core.RefusedException

/** Reads the smaller parts of a `tokenizer.json`: how text is changed and cut, and how tokens become text. */
internal object TokenizerParts {
    private val DECODER = listOf("ByteFallback", "Fuse")

    /** Texts that are replaced, in order. */
    fun normalizer(json: Any?): List<Pair<String, String>> = steps(json, "normalizer", "normalizers").map { replacement(it) }

    /** The text at whose ends a text is cut; null for no cut. */
    fun preTokenizer(json: Any?): String? {
        val step = steps(json, "pre_tokenizer", "pretokenizers")
        if (step.isEmpty()) return null
        if (step.size > 1) throw RefusedException("pre_tokenizer has ${step.size} steps; this app knows one")
        val fields = step[0]
        only(fields, listOf("type", "pattern", "behavior", "invert"))
        want(fields, "type", "Split")
        want(fields, "behavior", "MergedWithPrevious")
        if (fields.flag("invert")) throw RefusedException("pre_tokenizer.invert is set; this app knows none")
        return pattern(fields)
    }

    /** Texts that are replaced in a piece; bytes are put together after that. */
    fun decoder(json: Any?): List<Pair<String, String>> {
        val steps = steps(json, "decoder", "decoders")
        val last = steps.takeLast(DECODER.size).map { it.text("type") }
        if (last != DECODER) throw RefusedException("decoder ends with $last; this app knows $DECODER")
        return steps.dropLast(DECODER.size).map { replacement(it) }
    }

    /** It puts tokens around a text, a start token for one: whoever encodes does that here. */
    fun checkPostProcessor(json: Any?) {
        if (json != null) want(fields(json, "post_processor"), "type", "TemplateProcessing")
    }

    fun fields(json: Any?, where: String): Fields =
        Fields(json as? Map<*, *> ?: throw RefusedException("$where is no object"), where)

    fun only(fields: Fields, keys: List<String>) {
        val more = fields.keys().firstOrNull { it !in keys } ?: return
        throw RefusedException("${Json.quote(more)} is not known to this app; ${keys.joinToString()} are")
    }

    private fun steps(json: Any?, where: String, key: String): List<Fields> {
        if (json == null) return emptyList()
        val fields = fields(json, where)
        if (fields.text("type") != "Sequence") return listOf(fields)
        only(fields, listOf("type", key))
        return fields.children(key)
    }

    private fun replacement(fields: Fields): Pair<String, String> {
        want(fields, "type", "Replace")
        only(fields, listOf("type", "pattern", "content"))
        return Pair(pattern(fields), fields.text("content"))
    }

    /** A pattern that is a text; one that is a regular expression is refused. */
    private fun pattern(fields: Fields): String {
        val pattern = fields.child("pattern")
        only(pattern, listOf("String"))
        return pattern.text("String").ifEmpty { throw RefusedException("a pattern is empty") }
    }

    private fun want(fields: Fields, key: String, word: String) {
        val found = fields.text(key)
        if (found != word) throw RefusedException("$key ${Json.quote(found)} is not known to this app; ${Json.quote(word)} is")
    }
}
