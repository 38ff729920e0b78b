package dev.gemmabridge.ort.template

import dev.gemmabridge.core.RefusedException

/** Reads statements: what is printed as it is, expressions, `if`, `for`, `set`, `macro`, `generation`. */
internal class Statements(private val cursor: Cursor) {
    private val expressions = Expressions(cursor)

    fun template(): Statement {
        val body = body()
        if (cursor.now.kind != Kind.END) cursor.wrong("'${cursor.now.text}' has no beginning")
        return body
    }

    /** Statements up to a tag of one of these names, which is not passed; up to the end where there is none. */
    private fun body(vararg ends: String): Statement = cursor.deeper {
        val all = ArrayList<Statement>()
        while (true) {
            val token = cursor.now
            when (token.kind) {
                Kind.END -> break
                Kind.DATA -> cursor.next().let { data -> all.add(Statement { _, out -> out.append(data.text) }) }
                Kind.PRINT -> {
                    cursor.next()
                    val value = expressions.tuple()
                    cursor.need(Kind.PRINT_END)
                    all.add(at(token.line) { scope, out -> out.append(Values.text(value.value(scope))) })
                }
                else -> {
                    cursor.next()
                    if (cursor.isName(*ends)) break
                    all.add(tag(token.line))
                }
            }
        }
        Statement { scope, out ->
            for (one in all) {
                scope.bounds.step()
                one.run(scope, out)
            }
            scope.bounds.written(out)
        }
    }

    /** Says in which line it failed. */
    private fun at(line: Int, statement: Statement) = Statement { scope, out ->
        try {
            statement.run(scope, out)
        } catch (error: RefusedException) {
            throw if (error.message!!.startsWith(LINE)) error else RefusedException("$LINE$line: ${error.message}", error)
        } catch (error: ClassCastException) {
            throw RefusedException("$LINE$line: a value of another kind is needed", error)
        } catch (error: ArithmeticException) {
            throw RefusedException("$LINE$line: a number is too large", error)
        } catch (error: IndexOutOfBoundsException) {
            throw RefusedException("$LINE$line: an argument is missing", error)
        }
    }

    private fun tag(line: Int): Statement = when (val name = cursor.needName()) {
        "if" -> at(line, condition())
        "for" -> at(line, loop())
        "set" -> at(line, set())
        "macro" -> macro()
        "generation" -> generation()
        else -> cursor.wrong("the tag $name is not known to this app")
    }

    /** What a model learns to say; for whoever renders it is as it stands. */
    private fun generation(): Statement {
        closed()
        val body = body("endgeneration").also { ended("endgeneration") }
        return Statement { scope, out -> body.run(scope.inner(), out) }
    }

    private fun closed() = cursor.need(Kind.BLOCK_END)

    private fun ended(name: String) {
        if (cursor.needName() != name) cursor.wrong("$name expected")
        closed()
    }

    private fun condition(): Statement {
        val condition = expressions.tuple()
        closed()
        val yes = body("elif", "else", "endif")
        val no: Statement? = when (cursor.needName()) {
            "elif" -> condition()
            "else" -> closed().let { body("endif") }.also { ended("endif") }
            else -> null.also { closed() }
        }
        return Statement { scope, out -> if (Values.truth(condition.value(scope))) yes.run(scope, out) else no?.run(scope, out) }
    }

    private fun loop(): Statement {
        val names = arrayListOf(cursor.needName())
        while (cursor.sign(",") != null) names.add(cursor.needName())
        cursor.name("in") ?: cursor.wrong("'in' expected")
        val items = expressions.plain()
        val only = if (cursor.name("if") != null) expressions.plain() else null
        closed()
        val body = body("else", "endfor")
        val otherwise = if (cursor.needName() == "else") closed().let { body("endfor") }.also { ended("endfor") } else null.also { closed() }
        return Statement { scope, out ->
            val inner = { item: Any? -> scope.inner().also { assign(it, names, item) } }
            val counts = { item: Any? -> only == null || Values.truth(only.value(inner(item))) }
            val given = Values.items(items.value(scope)).map { Pair(it, counts(it)) }
            val all = given.filter { it.second }.map { it.first }
            var i = 0
            for ((item, counted) in given) {
                scope.bounds.step()
                if (counts(item) != counted) throw RefusedException("a loop that changes its own condition is not known to this app")
                if (counted) body.run(inner(item).also { it["loop"] = state(i, all) }, out).also { i++ }
            }
            if (all.isEmpty()) otherwise?.run(scope.inner(), out)
        }
    }

    private fun assign(scope: Scope, names: List<String>, item: Any?) {
        if (names.size == 1) return scope.set(names[0], item)
        val parts = Values.items(item)
        if (parts.size != names.size) throw RefusedException("${parts.size} values for ${names.size} names")
        names.forEachIndexed { i, name -> scope[name] = parts[i] }
    }

    /** `loop`, as far as templates ask for it. */
    private fun state(i: Int, all: List<Any?>) = Namespace(
        linkedMapOf(
            "index" to i + 1L,
            "index0" to i.toLong(),
            "revindex" to all.size - i.toLong(),
            "revindex0" to all.size - i - 1L,
            "first" to (i == 0),
            "last" to (i == all.size - 1),
            "length" to all.size.toLong(),
            "previtem" to if (i > 0) all[i - 1] else Undefined("loop.previtem"),
            "nextitem" to if (i < all.size - 1) all[i + 1] else Undefined("loop.nextitem"),
        ),
        whole = true,
    )

    private fun set(): Statement {
        val names = arrayListOf(cursor.needName())
        val member = if (cursor.sign(".") != null) cursor.needName() else null
        while (member == null && cursor.sign(",") != null) names.add(cursor.needName())
        if (cursor.sign("=") == null) {
            if (member != null || names.size > 1) cursor.wrong("'=' expected")
            closed()
            val body = body("endset")
            ended("endset")
            return Statement { scope, _ -> scope[names[0]] = StringBuilder().also { body.run(scope.inner(), it) }.toString() }
        }
        val value = expressions.tuple()
        closed()
        if (member == null) return Statement { scope, _ -> assign(scope, names, value.value(scope)) }
        return Statement { scope, _ ->
            val space = scope[names[0]] as? Namespace ?: throw RefusedException("${names[0]} is no namespace")
            space[member] = value.value(scope)
        }
    }

    private fun macro(): Statement {
        val name = cursor.needName()
        val parameters = LinkedHashMap<String, Expression?>()
        cursor.need("(")
        while (cursor.sign(")") == null) {
            val parameter = cursor.needName()
            parameters[parameter] = if (cursor.sign("=") != null) expressions.expression() else null
            if (cursor.sign(",") == null && !cursor.isSign(")")) cursor.wrong("')' expected")
        }
        closed()
        val body = body("endmacro")
        ended("endmacro")
        return Statement { scope, _ ->
            scope[name] = Callable { given ->
                given.only(parameters.size, *parameters.keys.toTypedArray())
                val inner = scope.inner()
                parameters.entries.forEachIndexed { i, (parameter, otherwise) ->
                    val missing = i >= given.values.size && parameter !in given.named
                    inner[parameter] = if (missing) otherwise?.value(inner) ?: absent(otherwise, parameter) else given.value(i, parameter)
                }
                scope.bounds.deeper { StringBuilder().also { body.run(inner, it) }.toString() }
            }
        }
    }

    private fun absent(otherwise: Expression?, parameter: String): Any? = if (otherwise == null) Undefined(parameter) else null

    private companion object {
        const val LINE = "line "
    }
}
