package dev.gemmabridge.ort.template

import dev.gemmabridge.core.RefusedException

/** Operators, members and slices, as Python has them. */
internal object Operators {
    fun binary(sign: String, left: Any?, right: Any?): Any? = when (sign) {
        "==" -> Values.same(left, right)
        "!=" -> !Values.same(left, right)
        "<" -> order(left, right) < 0
        ">" -> order(left, right) > 0
        "<=" -> order(left, right) <= 0
        ">=" -> order(left, right) >= 0
        "in" -> Values.contains(right, left)
        "~" -> Values.text(left) + Values.text(right)
        "+" -> plus(left, right)
        else -> arithmetic(sign, left, right)
    }

    fun negative(value: Any?): Any? = if (value is Double) -value else -whole(value)

    fun whole(value: Any?): Long = when (value) {
        is Long -> value
        is Boolean -> if (value) 1 else 0
        else -> throw RefusedException("${Values.kind(value)} where a whole number is needed")
    }

    private fun plus(left: Any?, right: Any?): Any? = when {
        left is String && right is String -> left + right
        left is List<*> && right is List<*> -> left + right
        else -> arithmetic("+", left, right)
    }

    private fun arithmetic(sign: String, left: Any?, right: Any?): Any? {
        if (left is Double || right is Double || sign == "/") return real(sign, number(left), number(right))
        val one = whole(left)
        val other = whole(right)
        if (sign in "//%" && other == 0L) throw RefusedException("a division by zero")
        return when (sign) {
            "+" -> Math.addExact(one, other)
            "-" -> Math.subtractExact(one, other)
            "*" -> Math.multiplyExact(one, other)
            "//" -> Math.floorDiv(one, other)
            "%" -> Math.floorMod(one, other)
            else -> throw RefusedException("$sign is not known to this app")
        }
    }

    private fun real(sign: String, one: Double, other: Double): Double = when (sign) {
        "+" -> one + other
        "-" -> one - other
        "*" -> one * other
        "/" -> if (other == 0.0) throw RefusedException("a division by zero") else one / other
        else -> throw RefusedException("$sign of fractions is not known to this app")
    }

    private fun number(value: Any?): Double = value as? Double ?: whole(value).toDouble()

    fun order(one: Any?, other: Any?): Int {
        if (one is String && other is String) return points(one, other)
        return number(one).compareTo(number(other))
    }

    /** By code points: UTF-16 has another order. */
    private fun points(one: String, other: String): Int {
        val left = one.codePoints().toArray()
        val right = other.codePoints().toArray()
        for (i in 0 until minOf(left.size, right.size)) if (left[i] != right[i]) return left[i].compareTo(right[i])
        return left.size.compareTo(right.size)
    }

    /** `value.name`: a method, or else a member. */
    fun attribute(value: Any?, name: String): Any? = Methods.of(value, open(name)) ?: when (value) {
        is Namespace -> value[name]
        else -> member(value, name)
    }

    /** Names that begin with a line are Python's own. */
    fun open(name: String): String = if (name.startsWith('_')) throw RefusedException("$name is not known to this app") else name

    /** `value[key]`. */
    fun item(value: Any?, key: Any?): Any? = when {
        key is Long && value is List<*> -> value.getOrElse(place(key, value.size)) { Undefined("element $key") }
        key is Long && value is String -> Values.characters(value).let { it.getOrElse(place(key, it.size)) { Undefined("character $key") } }
        else -> member(value, key).let { found -> (found as? Undefined)?.let { Methods.of(value, key as? String ?: "") } ?: found }
    }

    private fun place(key: Long, size: Int) = (if (key < 0) key + size else key).toInt()

    private fun member(value: Any?, key: Any?): Any? = when {
        value is Undefined -> throw RefusedException("${value.name} is not there")
        value is Map<*, *> && key in value -> value[key]
        else -> Undefined("$key")
    }

    fun slice(value: Any?, from: Any?, to: Any?, step: Any?): Any? {
        val all = Values.items(value)
        val by = if (step == null) 1 else whole(step).toInt()
        if (by != 1 && !(by == -1 && from == null && to == null)) throw RefusedException("a slice by $by is not known to this app")
        val begin = edge(from, 0, all.size)
        val end = edge(to, all.size, all.size)
        val part = if (by < 0) all.reversed() else if (begin < end) all.subList(begin, end) else emptyList()
        return if (value is String) part.joinToString("") else part
    }

    private fun edge(value: Any?, otherwise: Int, size: Int): Int {
        if (value == null) return otherwise
        val place = whole(value)
        return (if (place < 0) place + size else place).coerceIn(0L, size.toLong()).toInt()
    }
}
