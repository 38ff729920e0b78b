package dev.gemmabridge.ort.template

import dev.gemmabridge.core.RefusedException

/*
 * Values of a template are null, Boolean, Long, Double, String, List, Map, and those below.
 */

/** What has not been set: empty where it is printed or walked through, false, and an error elsewhere. */
internal class Undefined(val name: String)

/** `namespace(...)`: what a loop may change and leave behind. */
internal class Namespace(private val members: MutableMap<String, Any?>, private val whole: Boolean = false) {
    /** What it has not is unknown, or where it is [whole], not known to this app. */
    operator fun get(name: String): Any? = when {
        name in members -> members[name]
        whole -> throw RefusedException("the member $name is not known to this app")
        else -> Undefined(name)
    }

    operator fun set(name: String, value: Any?) {
        members[Operators.open(name)] = value
    }
}

/** What can be walked through once, like Python's iterators. */
internal class Once(private var items: List<Any?>) {
    fun take(): List<Any?> = items.also { items = emptyList() }
}

/** A macro, a method or a function of the template's. */
internal fun interface Callable {
    fun call(given: Given): Any?
}

/** What a call, a filter or a test is given. */
internal class Given(val values: List<Any?>, val named: Map<String, Any?> = emptyMap()) {
    /** The value at a place or of a name; [otherwise] where there is none. */
    fun value(place: Int, name: String, otherwise: Any? = null): Any? =
        if (place < values.size) values[place] else if (name in named) named[name] else otherwise

    /** @throws RefusedException more than [most] values, or a name that is not one of [names]. */
    fun only(most: Int, vararg names: String): Given {
        if (values.size > most) throw RefusedException("${values.size} arguments where $most are known")
        named.keys.firstOrNull { it !in names }?.let { throw RefusedException("the argument $it is not known") }
        return this
    }
}

/** How Python sees values. */
internal object Values {
    fun truth(value: Any?): Boolean = when (value) {
        null, is Undefined -> false
        is Boolean -> value
        is Long -> value != 0L
        is Double -> value != 0.0
        is String -> value.isNotEmpty()
        is List<*> -> value.isNotEmpty()
        is Map<*, *> -> value.isNotEmpty()
        else -> true
    }

    /** The text of a value where it is printed. */
    fun text(value: Any?): String = when (value) {
        is String -> value
        null -> "None"
        is Undefined -> ""
        true -> "True"
        false -> "False"
        is Long -> value.toString()
        is Double -> Numbers.text(value)
        else -> throw RefusedException("${kind(value)} is printed, which this app cannot")
    }

    fun items(value: Any?): List<Any?> = when (value) {
        is List<*> -> value
        is Map<*, *> -> value.keys.toList()
        is String -> characters(value)
        is Undefined -> emptyList()
        is Once -> value.take()
        else -> throw RefusedException("${kind(value)} is no sequence")
    }

    fun characters(text: String): List<String> {
        val out = ArrayList<String>(text.length)
        var at = 0
        while (at < text.length) {
            val end = text.offsetByCodePoints(at, 1)
            out.add(text.substring(at, end))
            at = end
        }
        return out
    }

    fun same(one: Any?, other: Any?): Boolean = when {
        one is Undefined && other is Undefined -> true
        one is Boolean && (other is Long || other is Double) -> same(if (one) 1L else 0L, other)
        other is Boolean && (one is Long || one is Double) -> same(other, one)
        one is Long && other is Double -> one.toDouble() == other
        one is Double && other is Long -> one == other.toDouble()
        one is List<*> && other is List<*> -> one.size == other.size && one.indices.all { same(one[it], other[it]) }
        one is Map<*, *> && other is Map<*, *> -> one.size == other.size && one.all { (key, value) -> key in other && same(value, other[key]) }
        else -> one == other
    }

    fun contains(all: Any?, one: Any?): Boolean = when (all) {
        is String -> all.contains(one as? String ?: throw RefusedException("${kind(one)} is looked for in a text"))
        is Map<*, *> -> one in all
        else -> items(all).any { same(it, one) }
    }

    fun length(value: Any?): Long = when (value) {
        is String -> value.codePointCount(0, value.length).toLong()
        is Map<*, *> -> value.size.toLong()
        is Once -> throw RefusedException("an iterator has no length")
        else -> items(value).size.toLong()
    }

    fun kind(value: Any?): String = when (value) {
        null -> "None"
        is Undefined -> "the unknown ${value.name}"
        is Boolean -> "a boolean"
        is Long, is Double -> "a number"
        is String -> "a text"
        is List<*> -> "a list"
        is Map<*, *> -> "a mapping"
        else -> "an object"
    }

    /** What Python counts as a blank at the ends of a text. */
    fun blank(c: Char): Boolean = c in '\u0009'..'\u000d' || c in '\u001c'..'\u0020' || c == '\u0085' || c == '\u00a0' ||
        c == '\u1680' || c in '\u2000'..'\u200a' || c == '\u2028' || c == '\u2029' || c == '\u202f' || c == '\u205f' || c == '\u3000'
}

/** Floats as Python writes them: as few digits as say which it is. */
internal object Numbers {
    fun text(value: Double): String {
        if (value.isNaN()) return "nan"
        if (value.isInfinite()) return if (value > 0) "inf" else "-inf"
        if (value == 0.0) return if (1 / value < 0) "-0.0" else "0.0"
        val (mantissa, power) = (0..16).asSequence()
            .map { String.format(java.util.Locale.ROOT, "%.${it}e", value) }
            .first { it.toDouble() == value }.split('e')
        val exponent = power.toInt()
        val sign = if (value < 0) "-" else ""
        val digits = mantissa.filter { it in '0'..'9' }.trimEnd('0').ifEmpty { "0" }
        if (exponent < -4 || exponent >= 16) {
            val rest = if (digits.length > 1) "." + digits.drop(1) else ""
            val places = Math.abs(exponent).toString().padStart(2, '0')
            return "$sign${digits[0]}${rest}e${if (exponent < 0) '-' else '+'}$places"
        }
        if (exponent < 0) return sign + "0." + "0".repeat(-exponent - 1) + digits
        val padded = digits.padEnd(exponent + 1, '0')
        return sign + padded.take(exponent + 1) + "." + padded.drop(exponent + 1).ifEmpty { "0" }
    }
}
