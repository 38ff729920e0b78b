package dev.gemmabridge.core

/**
 * A strict reader of small JSON documents that may come from anybody.
 *
 * RFC 8259 and nothing else: no comments, no trailing commas, no NaN, no second value, no key twice in an object.
 * Objects are [Map], arrays [List], numbers [Long] where they are written as integers that fit and [Double] otherwise.
 */
object Json {
    const val MAX_CHARACTERS = 16 * 1024 * 1024
    const val MAX_DEPTH = 32

    /** @throws RefusedException what was wrong, and at which character. */
    fun parse(text: String): Any? {
        if (text.length > MAX_CHARACTERS) {
            throw RefusedException("JSON of ${text.length} characters; $MAX_CHARACTERS are allowed")
        }
        return JsonReader(text).document()
    }

    /**
     * A value as JSON: texts, numbers, Booleans, null, lists, maps.
     *
     * @throws IllegalArgumentException another type, a number that is none, or nesting that [parse] would refuse.
     */
    fun write(value: Any?): String = write(value, 0)

    private fun write(value: Any?, depth: Int): String {
        require(depth <= MAX_DEPTH) { "a value nested deeper than $MAX_DEPTH" }
        return when (value) {
            null, is Boolean, is Long, is Int -> value.toString()
            is Double -> value.also { require(!it.isNaN() && !it.isInfinite()) { "$it is no number of JSON" } }.toString()
            is String -> quote(value)
            is List<*> -> value.joinToString(",", "[", "]") { write(it, depth + 1) }
            is Map<*, *> -> value.entries.joinToString(",", "{", "}") {
                quote(it.key.toString()) + ":" + write(it.value, depth + 1)
            }
            else -> throw IllegalArgumentException("${value.javaClass.simpleName} is no type of JSON")
        }
    }

    /** A string with its quotes, as ASCII: it passes through anything. */
    fun quote(text: String): String {
        val out = StringBuilder("\"")
        for (c in text) {
            when {
                c == '"' || c == '\\' -> out.append('\\').append(c)
                c in ' '..'~' -> out.append(c)
                else -> out.append("\\u").append(c.code.toString(16).padStart(4, '0'))
            }
        }
        return out.append('"').toString()
    }
}

private class JsonReader(private val text: String) {
    private var at = 0

    fun document(): Any? {
        val value = value(0)
        space()
        if (at != text.length) wrong("something after the document's end")
        return value
    }

    private fun wrong(what: String): Nothing = throw RefusedException("JSON: $what at character $at")

    private fun space() {
        while (at < text.length && text[at] in " \t\n\r") at++
    }

    private fun peek(): Char = if (at < text.length) text[at] else wrong("the document ends early")

    private fun expect(c: Char) {
        if (peek() != c) wrong("'$c' expected, ${shown(text[at])} found")
        at++
    }

    private fun shown(c: Char) = if (c in ' '..'~') "'$c'" else "U+" + c.code.toString(16).padStart(4, '0')

    private fun value(depth: Int): Any? {
        if (depth > Json.MAX_DEPTH) wrong("nested deeper than ${Json.MAX_DEPTH}")
        space()
        return when (val c = peek()) {
            '{' -> members(depth)
            '[' -> elements(depth)
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            else -> if (c == '-' || c in '0'..'9') number() else wrong("no value begins with ${shown(c)}")
        }
    }

    private fun word(word: String, value: Any?): Any? {
        if (!text.startsWith(word, at)) wrong("no such word")
        at += word.length
        return value
    }

    /** After an element: whether another one follows. */
    private fun more(end: Char): Boolean {
        space()
        if (peek() == end) {
            at++
            return false
        }
        expect(',')
        space()
        return true
    }

    private fun empty(end: Char): Boolean {
        at++
        space()
        if (peek() != end) return false
        at++
        return true
    }

    private fun members(depth: Int): Map<String, Any?> {
        val out = LinkedHashMap<String, Any?>()
        if (empty('}')) return out
        do {
            if (peek() != '"') wrong("a key expected")
            val key = string()
            if (out.containsKey(key)) wrong("the key ${Json.quote(key)} twice")
            space()
            expect(':')
            out[key] = value(depth + 1)
        } while (more('}'))
        return out
    }

    private fun elements(depth: Int): List<Any?> {
        val out = ArrayList<Any?>()
        if (empty(']')) return out
        do out.add(value(depth + 1)) while (more(']'))
        return out
    }

    private fun string(): String {
        expect('"')
        val out = StringBuilder()
        while (true) {
            val c = peek()
            at++
            when {
                c == '"' -> return out.toString()
                c == '\\' -> out.append(escape())
                c < ' ' -> wrong("a control character inside a string")
                else -> out.append(c)
            }
        }
    }

    private fun escape(): Char {
        val c = peek()
        at++
        return when (c) {
            '"', '\\', '/' -> c
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> unicode()
            else -> wrong("no such escape")
        }
    }

    private fun unicode(): Char {
        var code = 0
        repeat(4) {
            val digit = HEX.indexOf(peek().lowercaseChar())
            if (digit < 0) wrong("four hex digits expected")
            code = code * 16 + digit
            at++
        }
        return code.toChar()
    }

    /** By hand: on Android a regular expression copies the whole document at each match. */
    private fun number(): Any {
        val begin = at
        take("-")
        val zero = at < text.length && text[at] == '0'
        if (digits() > 1 && zero) wrong("no number")
        val whole = at
        if (take(".")) digits()
        if (take("eE")) {
            take("+-")
            digits()
        }
        val written = text.substring(begin, at)
        val value = (if (at == whole) written.toLongOrNull() else null) ?: written.toDouble()
        if (value is Double && (value.isInfinite() || written.length > MAX_NUMBER)) wrong("a number out of range")
        return value
    }

    private fun take(oneOf: String): Boolean = (at < text.length && text[at] in oneOf).also { if (it) at++ }

    /** How many there are: one at least, and no more than a number may have characters. */
    private fun digits(): Int {
        val begin = at
        while (at < text.length && text[at] in '0'..'9') at++
        val count = at - begin
        if (count == 0) wrong("no number")
        if (count > MAX_NUMBER) wrong("a number out of range")
        return count
    }

    private companion object {
        const val HEX = "0123456789abcdef"
        const val MAX_NUMBER = 64
    }
}
