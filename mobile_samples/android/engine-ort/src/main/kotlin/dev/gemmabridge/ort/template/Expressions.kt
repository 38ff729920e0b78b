package dev.gemmabridge.ort.template

import dev.gemmabridge.core.RefusedException

/** Reads expressions, by Jinja's precedence: `if`, `or`, `and`, `not`, comparisons, `+`, `~`, `*`, signs, filters. */
internal class Expressions(private val cursor: Cursor) {
    fun expression(): Expression = cursor.deeper {
        var value = or()
        while (cursor.name("if") != null) {
            val yes = value
            val condition = or()
            val no = if (cursor.name("else") != null) expression() else Expression { Undefined("the value without else") }
            value = Expression { if (Values.truth(condition.value(it))) yes.value(it) else no.value(it) }
        }
        value
    }

    /** An expression without `if`: behind `in`, where that is the loop's. */
    fun plain(): Expression = or()

    /** One expression, or a tuple of several. */
    fun tuple(): Expression {
        val first = expression()
        if (!cursor.isSign(",")) return first
        val all = arrayListOf(first)
        while (cursor.sign(",") != null) all.add(expression())
        return Expression { scope -> all.map { it.value(scope) } }
    }

    private fun or(): Expression {
        var left = and()
        while (cursor.name("or") != null) {
            val (one, other) = Pair(left, and())
            left = Expression { scope -> one.value(scope).let { if (Values.truth(it)) it else other.value(scope) } }
        }
        return left
    }

    private fun and(): Expression {
        var left = not()
        while (cursor.name("and") != null) {
            val (one, other) = Pair(left, not())
            left = Expression { scope -> one.value(scope).let { if (Values.truth(it)) other.value(scope) else it } }
        }
        return left
    }

    private fun not(): Expression {
        if (cursor.name("not") == null) return comparison()
        val value = cursor.deeper { not() }
        return Expression { !Values.truth(value.value(it)) }
    }

    private fun comparison(): Expression {
        val first = sum()
        val more = ArrayList<Pair<String, Expression>>()
        while (true) {
            val sign = when {
                cursor.two("not", "in") -> "not in"
                else -> cursor.sign("==", "!=", "<", ">", "<=", ">=") ?: cursor.name("in") ?: break
            }
            more.add(Pair(sign, sum()))
        }
        if (more.isEmpty()) return first
        return Expression { scope ->
            var left = first.value(scope)
            more.all { (sign, expression) ->
                val right = expression.value(scope)
                val holds = if (sign == "not in") !Values.contains(right, left) else Operators.binary(sign, left, right) as Boolean
                left = right
                holds
            }
        }
    }

    private fun sum() = chain(::joined, "+", "-")

    private fun joined() = chain(::product, "~")

    private fun product() = chain(::signed, "*", "/", "//", "%")

    private fun chain(part: () -> Expression, vararg signs: String): Expression {
        var left = part()
        while (true) {
            val sign = cursor.sign(*signs) ?: return left
            val (one, other) = Pair(left, part())
            left = Expression { Operators.binary(sign, one.value(it), other.value(it)) }
        }
    }

    private fun signed(filtered: Boolean = true): Expression {
        if (cursor.isSign("**")) cursor.wrong("'**' is not known to this app")
        val value = if (cursor.sign("-") != null) {
            val inner = cursor.deeper { signed(false) }
            Expression { Operators.negative(inner.value(it)) }
        } else {
            postfix(primary())
        }
        return if (filtered) filtered(value) else value
    }

    private fun signed(): Expression = signed(true)

    private fun primary(): Expression {
        val token = cursor.next()
        return when (token.kind) {
            Kind.TEXT -> {
                var text = token.text
                while (cursor.now.kind == Kind.TEXT) text += cursor.next().text
                Expression { text }
            }
            Kind.INTEGER -> (token.text.toLongOrNull() ?: cursor.wrong("${token.text} is too large")).let { Expression { _ -> it } }
            Kind.FLOAT -> token.text.toDouble().let { Expression { _ -> it } }
            Kind.NAME -> named(token.text)
            Kind.SIGN -> enclosed(token.text)
            else -> cursor.wrong("a value expected, '${token.text}' found")
        }
    }

    private fun named(name: String): Expression = when (name) {
        "true", "True" -> Expression { true }
        "false", "False" -> Expression { false }
        "none", "None" -> Expression { null }
        else -> Expression { it[name] }
    }

    private fun enclosed(sign: String): Expression = when (sign) {
        "(" -> if (cursor.sign(")") != null) Expression { emptyList<Any?>() } else tuple().also { cursor.need(")") }
        "[" -> {
            val all = until("]") { expression() }
            Expression { scope -> all.map { it.value(scope) } }
        }
        "{" -> {
            val all = until("}") { Pair(expression().also { cursor.need(":") }, expression()) }
            Expression { scope -> all.associate { Pair(it.first.value(scope), it.second.value(scope)) } }
        }
        else -> cursor.wrong("'$sign' is not known to this app here")
    }

    private fun <T> until(end: String, element: () -> T): List<T> {
        val out = ArrayList<T>()
        while (cursor.sign(end) == null) {
            out.add(element())
            if (cursor.sign(",") == null && !cursor.isSign(end)) cursor.wrong("'$end' expected, '${cursor.now.text}' found")
        }
        return out
    }

    private fun postfix(begin: Expression): Expression {
        var value = begin
        while (true) {
            val one = value
            value = when (cursor.sign(".", "[", "(") ?: return value) {
                "." -> cursor.needName().let { name -> Expression { Operators.attribute(one.value(it), name) } }
                "[" -> subscript(one)
                else -> call(one)
            }
        }
    }

    private fun call(what: Expression): Expression {
        val arguments = arguments()
        return Expression { scope ->
            val called = what.value(scope)
            scope.bounds.step()
            (called as? Callable ?: cannot(called)).call(arguments(scope))
        }
    }

    private fun cannot(called: Any?): Nothing =
        throw RefusedException("${Values.kind(called)} is called, which this app cannot")

    private fun subscript(of: Expression): Expression {
        val edges = arrayOfNulls<Expression>(3)
        var place = 0
        while (cursor.sign("]") == null) {
            if (cursor.sign(":") != null) place++ else edges[place] = expression()
            if (place > 2) cursor.wrong("a slice of more than three parts")
        }
        val (from, to, step) = edges
        if (place > 0) return Expression { Operators.slice(of.value(it), from?.value(it), to?.value(it), step?.value(it)) }
        val key = from ?: cursor.wrong("a key expected")
        return Expression { Operators.item(of.value(it), key.value(it)) }
    }

    private fun filtered(begin: Expression): Expression {
        var value = begin
        while (true) {
            val one = value
            value = when {
                cursor.sign("|") != null -> filter(one)
                cursor.two("is", "not") -> test(one).let { test -> Expression { !(test.value(it) as Boolean) } }
                cursor.name("is") != null -> test(one)
                cursor.sign("(") != null -> call(one)
                else -> return value
            }
        }
    }

    private fun filter(value: Expression): Expression {
        val name = cursor.needName()
        val filter = Filters.filters[name] ?: cursor.wrong("the filter $name is not known to this app")
        val arguments = if (cursor.sign("(") != null) arguments() else none
        return Expression { filter(value.value(it), arguments(it)) }
    }

    private fun test(value: Expression): Expression {
        val name = cursor.needName()
        val test = Filters.tests[name] ?: cursor.wrong("the test $name is not known to this app")
        return Expression { test(value.value(it), Given(emptyList())) }
    }

    private val none = { _: Scope -> Given(emptyList()) }

    /** What stands in the brackets of a call, its opening bracket passed. */
    fun arguments(): (Scope) -> Given {
        val values = ArrayList<Expression>()
        val named = LinkedHashMap<String, Expression>()
        until(")") {
            if (cursor.isNamed()) {
                val name = cursor.needName()
                cursor.need("=")
                named[name] = expression()
            } else {
                values.add(expression())
            }
        }
        return { scope -> Given(values.map { it.value(scope) }, named.mapValues { it.value.value(scope) }) }
    }
}
