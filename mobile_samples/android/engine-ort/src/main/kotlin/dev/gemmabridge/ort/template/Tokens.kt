package dev.gemmabridge.ort.template

import dev.gemmabridge.core.RefusedException

/** What a piece of a template is. */
internal enum class Kind { DATA, PRINT, PRINT_END, BLOCK, BLOCK_END, NAME, TEXT, INTEGER, FLOAT, SIGN, END }

internal class Token(val kind: Kind, val text: String, val line: Int)

/** Cuts a template into tokens as transformers has it done: `trim_blocks`, `lstrip_blocks`, no last line end. */
internal class Lexer(source: String) {
    private val text = source.replace("\r\n", "\n").replace('\r', '\n').removeSuffix("\n")
    private val out = ArrayList<Token>()
    private var at = 0
    private var line = 1

    /** The data that follows loses its blanks, or its first line end. */
    private var trimAll = false
    private var trimLine = false

    fun tokens(): List<Token> {
        while (at < text.length) {
            val open = (at until text.length - 1).firstOrNull { text[it] == '{' && text[it + 1] in "{%#" } ?: text.length
            data(at, open)
            if (open == text.length) break
            move(open)
            when (text[open + 1]) {
                '#' -> comment()
                '{' -> inside(Kind.PRINT, Kind.PRINT_END, "}}")
                else -> inside(Kind.BLOCK, Kind.BLOCK_END, "%}")
            }
        }
        out.add(Token(Kind.END, "", line))
        return out
    }

    private fun wrong(what: String): Nothing = throw RefusedException("line $line: $what")

    private fun move(to: Int) {
        for (i in at until minOf(to, text.length)) if (text[i] == '\n') line++
        at = to
    }

    private fun data(begin: Int, end: Int) {
        var from = begin
        var to = end
        if (trimAll) while (from < to && Values.blank(text[from])) from++
        if (trimLine && from < to && text[from] == '\n') from++
        trimAll = false
        trimLine = false
        if (end < text.length) {
            val mark = text.getOrNull(end + 2)
            if (mark == '-') {
                while (to > from && Values.blank(text[to - 1])) to--
            } else if (mark != '+' && text[end + 1] != '{') { // alone at the beginning of its line
                var start = to
                while (start > from && (text[start - 1] == ' ' || text[start - 1] == '\t')) start--
                if (if (start > from) text[start - 1] == '\n' else start == 0 || text[start - 1] == '\n') to = start
            }
        }
        if (from < to) out.add(Token(Kind.DATA, text.substring(from, to), line))
    }

    private fun comment() {
        val end = text.indexOf("#}", at + 2)
        if (end < 0) wrong("a comment without an end")
        closed(text[end - 1].takeIf { end - 1 > at + 1 }, true)
        move(end + 2)
    }

    private fun closed(mark: Char?, block: Boolean) {
        trimAll = mark == '-'
        trimLine = block && mark != '-' && mark != '+'
    }

    private fun inside(open: Kind, close: Kind, end: String) {
        out.add(Token(open, text.substring(at, at + 2), line))
        move(at + 2)
        if (text.getOrNull(at) == '-' || text.getOrNull(at) == '+') move(at + 1)
        var depth = 0
        while (true) {
            while (at < text.length && Values.blank(text[at])) move(at + 1)
            if (at >= text.length) wrong("$end is missing")
            if (depth == 0) {
                val mark = text[at].takeIf { (it == '-' || it == '+') && text.startsWith(end, at + 1) }
                if (mark != null || text.startsWith(end, at)) {
                    out.add(Token(close, end, line))
                    closed(mark, close == Kind.BLOCK_END)
                    move(at + end.length + if (mark == null) 0 else 1)
                    return
                }
            }
            val token = token()
            if (token.kind == Kind.SIGN && token.text in "([{") depth++
            if (token.kind == Kind.SIGN && token.text in ")]}") depth--
            out.add(token)
        }
    }

    private fun token(): Token {
        val c = text[at]
        val begin = at
        val start = line
        if (c == '"' || c == '\'') return Token(Kind.TEXT, string(c), start)
        NAME.matchAt(text, at)?.let {
            move(it.range.last + 1)
            return Token(Kind.NAME, it.value, start)
        }
        NUMBER.matchAt(text, at)?.let {
            move(it.range.last + 1)
            return Token(if ('.' in it.value) Kind.FLOAT else Kind.INTEGER, it.value, start)
        }
        val sign = SIGNS.firstOrNull { text.startsWith(it, begin) } ?: wrong("'$c' is not known to this app")
        move(at + sign.length)
        return Token(Kind.SIGN, sign, start)
    }

    private fun string(quote: Char): String {
        val value = StringBuilder()
        move(at + 1)
        while (true) {
            val c = text.getOrNull(at) ?: wrong("a text without an end")
            move(at + 1)
            if (c == quote) return value.toString()
            value.append(if (c == '\\') escape() else c)
        }
    }

    private fun escape(): Char {
        val c = text.getOrNull(at) ?: wrong("a text without an end")
        move(at + 1)
        val digits = when (c) {
            'n' -> return '\n'
            't' -> return '\t'
            'r' -> return '\r'
            '\\', '\'', '"' -> return c
            'u' -> 4
            'x' -> 2
            else -> wrong("the escape \\$c is not known to this app")
        }
        val code = text.substring(at, minOf(at + digits, text.length)).toIntOrNull(16) ?: wrong("$digits hex digits expected")
        move(at + digits)
        return code.toChar()
    }

    private companion object {
        val NAME = Regex("[A-Za-z_][A-Za-z0-9_]*")
        val NUMBER = Regex("[0-9]+(?:\\.[0-9]+)?")
        val SIGNS = listOf("//", "**", "==", "!=", "<=", ">=") + "+-*/%~<>=.,:|()[]{}".map { it.toString() }
    }
}
