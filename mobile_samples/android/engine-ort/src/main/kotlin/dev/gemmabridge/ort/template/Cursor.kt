package dev.gemmabridge.ort.template

import dev.gemmabridge.core.RefusedException

/** Walks through the tokens of a template. */
internal class Cursor(private val tokens: List<Token>) {
    private var at = 0
    private var depth = 0

    val now: Token
        get() = tokens[at]

    fun next(): Token = tokens[at].also { if (at < tokens.size - 1) at++ }

    fun wrong(what: String): Nothing = throw RefusedException("line ${now.line}: $what")

    fun isSign(vararg signs: String): Boolean = now.kind == Kind.SIGN && now.text in signs

    fun isName(vararg names: String): Boolean = now.kind == Kind.NAME && now.text in names

    /** The sign, if it stands here; it is passed then. */
    fun sign(vararg signs: String): String? = if (isSign(*signs)) next().text else null

    fun name(vararg names: String): String? = if (isName(*names)) next().text else null

    fun need(sign: String) {
        sign(sign) ?: wrong("'$sign' expected, '${now.text}' found")
    }

    fun needName(): String = if (now.kind == Kind.NAME) next().text else wrong("a name expected, '${now.text}' found")

    fun need(kind: Kind) {
        if (next().kind != kind) wrong("'${now.text}' is not known to this app here")
    }

    /** `not in`, `is not`: two names that are one operator. */
    fun two(first: String, second: String): Boolean {
        if (!isName(first) || tokens[at + 1].let { it.kind != Kind.NAME || it.text != second }) return false
        at += 2
        return true
    }

    /** Whether `name =` stands here: an argument with its name. */
    fun isNamed(): Boolean = now.kind == Kind.NAME && tokens[at + 1].let { it.kind == Kind.SIGN && it.text == "=" }

    fun <T> deeper(action: () -> T): T {
        if (++depth > MOST_DEPTH) wrong("nested deeper than $MOST_DEPTH")
        return action().also { depth-- }
    }

    private companion object {
        const val MOST_DEPTH = 64
    }
}
