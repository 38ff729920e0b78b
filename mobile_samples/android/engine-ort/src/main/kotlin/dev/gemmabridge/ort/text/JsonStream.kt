package dev.gemmabridge.ort.text

import dev.gemmabridge.core.Json
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Utf8
import java.nio.Buffer
import java.nio.ByteBuffer

/**
 * Reads a JSON document value by value, so that a vocabulary of a quarter of a million pieces never becomes a tree.
 *
 * As strict as [Json]; small values are handed to that.
 *
 * @param bytes UTF-8, from its position to its limit.
 */
internal class JsonStream(private val bytes: ByteBuffer) {
    private var at = bytes.position()
    private val end = bytes.limit()

    fun wrong(what: String): Nothing = throw RefusedException("$what at byte $at")

    /** The next byte that is no blank, as a character. */
    fun peek(): Char {
        while (at < end && bytes.get(at).toInt() in BLANKS) at++
        if (at >= end) wrong("the document ends early")
        return (bytes.get(at).toInt() and 0xFF).toChar()
    }

    /** Nothing but blanks may follow. */
    fun end() {
        while (at < end && bytes.get(at).toInt() in BLANKS) at++
        if (at != end) wrong("something after the document's end")
    }

    /** Calls [member] for every key; it has to read the value. A key may come once, where [unique]. */
    fun members(unique: Boolean = true, member: (String) -> Unit) {
        val seen = HashSet<String>()
        expect('{')
        if (closes('}')) return
        do {
            val key = text()
            if (unique && !seen.add(key)) wrong("the key ${Json.quote(key)} twice")
            expect(':')
            member(key)
        } while (!closes('}', ','))
    }

    /** Calls [element] for every element; it has to read it. */
    fun elements(element: () -> Unit) {
        expect('[')
        if (closes(']')) return
        do element() while (!closes(']', ','))
    }

    fun text(): String {
        peek()
        val begin = at
        if (bytes.get(at) != QUOTE) wrong("a string expected")
        at++
        var plain = true
        while (true) {
            if (at >= end) wrong("the document ends early")
            val byte = bytes.get(at++).toInt()
            if (byte == QUOTE.toInt()) break
            if (byte in 0 until BLANK) wrong("a control character inside a string")
            if (byte == '\\'.code) {
                plain = false
                at++
            }
        }
        val inner = if (plain) decoded(begin + 1, at - 1) else Json.parse(decoded(begin, at)) as String
        if (!plain && inner.indices.any { lonely(inner, it) }) wrong("half of a surrogate pair")
        return inner
    }

    fun integer(): Long {
        peek()
        val begin = at
        while (at < end && (bytes.get(at).toInt().toChar() in '0'..'9' || bytes.get(at) == MINUS)) at++
        if (at < end && bytes.get(at).toInt().toChar() in ".eE") wrong("an integer expected")
        return decoded(begin, at).toLongOrNull() ?: wrong("an integer expected")
    }

    /** A value of any kind, as a tree. */
    fun value(): Any? {
        val first = peek()
        val begin = at
        if (first == '"') return text()
        if (first == '{' || first == '[') skipNested() else while (at < end && bytes.get(at).toInt().toChar() !in ",]} \n\r\t") at++
        return Json.parse(decoded(begin, at))
    }

    private fun skipNested() {
        var depth = 0
        do {
            when (peek()) {
                '"' -> {
                    text()
                    continue
                }
                '{', '[' -> depth++
                '}', ']' -> depth--
            }
            if (depth > Json.MAX_DEPTH) wrong("nested deeper than ${Json.MAX_DEPTH}")
            at++
        } while (depth > 0)
    }

    private fun expect(c: Char) {
        if (peek() != c) wrong("'$c' expected")
        at++
    }

    private fun closes(last: Char): Boolean = (peek() == last).also { if (it) at++ }

    private fun closes(last: Char, between: Char): Boolean {
        if (closes(last)) return true
        expect(between)
        return false
    }

    private fun decoded(from: Int, to: Int): String {
        val part = ByteArray(to - from)
        val view = bytes.duplicate()
        (view as Buffer).position(from) // as an older Java knows it
        view.get(part)
        return Utf8.decode(part, "a string")
    }

    internal companion object {
        private const val QUOTE = '"'.code.toByte()
        private const val MINUS = '-'.code.toByte()
        private const val BLANK = 0x20
        private val BLANKS = setOf(0x20, 0x09, 0x0A, 0x0D)

        /** A half of a surrogate pair without its other half. */
        fun lonely(text: String, i: Int): Boolean = when {
            text[i].isHighSurrogate() -> i + 1 >= text.length || !text[i + 1].isLowSurrogate()
            text[i].isLowSurrogate() -> i == 0 || !text[i - 1].isHighSurrogate()
            else -> false
        }
    }
}
