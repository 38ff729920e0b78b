package dev.gemmabridge.ort.template

import dev.gemmabridge.core.RefusedException

/** What a rendering may take: a template comes with a bundle, and none may run without end. */
internal class Bounds {
    private var steps = 0
    private var depth = 0

    fun step() {
        if (++steps > MOST_STEPS) throw RefusedException("it does not end: more than $MOST_STEPS steps")
    }

    fun written(out: StringBuilder) {
        if (out.length > MOST_CHARACTERS) throw RefusedException("more than $MOST_CHARACTERS characters")
    }

    fun <T> deeper(action: () -> T): T {
        if (++depth > MOST_DEPTH) throw RefusedException("macros nested deeper than $MOST_DEPTH")
        return try {
            action()
        } finally {
            depth--
        }
    }

    private companion object {
        const val MOST_STEPS = 1_000_000
        const val MOST_CHARACTERS = 16 shl 20
        const val MOST_DEPTH = 48
    }
}

/** Names and their values; those of [outer] are seen and not changed. */
internal class Scope(private val outer: Scope?, val bounds: Bounds) {
    private val values = HashMap<String, Any?>()

    operator fun get(name: String): Any? {
        var scope: Scope? = this
        while (scope != null) {
            if (name in scope.values) return scope.values[name]
            scope = scope.outer
        }
        return Undefined(name)
    }

    operator fun set(name: String, value: Any?) {
        values[name] = value
    }

    fun inner() = Scope(this, bounds)
}

/** An expression of a template, ready to be computed. */
internal fun interface Expression {
    fun value(scope: Scope): Any?
}

/** A statement of a template, ready to be run. */
internal fun interface Statement {
    fun run(scope: Scope, out: StringBuilder)
}

/** `raise_exception(...)`: the template refuses the conversation. */
internal class Raised(message: String) : RuntimeException(message)
