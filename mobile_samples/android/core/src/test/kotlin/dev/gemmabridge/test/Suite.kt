package dev.gemmabridge.test

import dev.gemmabridge.core.Json

/** Cases of one program; each prints a line of JSON. `case("…")` is also how the caller finds their names. */
class Suite {
    private var failures = 0

    fun case(name: String, body: () -> Unit) {
        val began = System.nanoTime()
        val why = try {
            body()
            ""
        } catch (error: Throwable) {
            failures++
            val at = error.stackTrace.take(6).joinToString(" < ") { "${it.fileName}:${it.lineNumber}" }
            "$error at $at"
        }
        val seconds = (System.nanoTime() - began) / 1e9
        println("{\"case\":${Json.quote(name)},\"ok\":${why.isEmpty()},\"why\":${Json.quote(why)},\"seconds\":$seconds}")
    }

    /** A figure for whoever reads the log. */
    fun figure(name: String, value: Any) = println("{\"figure\":${Json.quote(name)},\"value\":${Json.quote("$value")}}")

    fun end() {
        System.out.flush()
        Runtime.getRuntime().halt(if (failures == 0) 0 else 1)
    }
}

fun same(expected: Any?, found: Any?) {
    if (expected != found) throw AssertionError("expected $expected, found $found")
}

fun holds(condition: Boolean, what: () -> String = { "it does not hold" }) {
    if (!condition) throw AssertionError(what())
}

/** The exception that [body] throws. */
inline fun <reified T : Throwable> fails(body: () -> Unit): T {
    try {
        body()
    } catch (error: Throwable) {
        if (error is T) return error
        throw AssertionError("${T::class.java.simpleName} expected, found $error", error)
    }
    throw AssertionError("${T::class.java.simpleName} expected, nothing was thrown")
}

/** The exception's message must hold [words]. */
inline fun <reified T : Throwable> failsWith(words: String, body: () -> Unit): T {
    val error = fails<T>(body)
    holds(words in (error.message ?: "")) { "\"$words\" expected in \"${error.message}\"" }
    return error
}
