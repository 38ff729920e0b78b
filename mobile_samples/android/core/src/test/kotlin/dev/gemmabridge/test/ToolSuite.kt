package dev.gemmabridge.test

import dev.gemmabridge.core.Answer
import dev.gemmabridge.core.Arithmetic
import dev.gemmabridge.core.Calculator
import dev.gemmabridge.core.Clock
import dev.gemmabridge.core.ContextFullException
import dev.gemmabridge.core.ControlTokens
import dev.gemmabridge.core.Conversation
import dev.gemmabridge.core.Ending
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.Json
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Tool
import dev.gemmabridge.core.ToolAnswer
import dev.gemmabridge.core.ToolCall
import dev.gemmabridge.core.Turn
import java.util.TimeZone

private val NOON = Clock({ 1_764_417_600_000L }, { TimeZone.getTimeZone("UTC") })
private const val SAYS_NOON = "Saturday 2025-11-29 12:00"
private val CALL = ToolCall("clock", emptyMap())

/** An engine that gives the answers of [script], one for every turn that it is sent; a null fails. */
private class Scripted(private vararg val script: Answer?) {
    val sent = ArrayList<Turn>()
    val engine = ScriptEngine { _, turn, listener, _ ->
        sent.add(turn)
        val answer = script[sent.size - 1] ?: throw ContextFullException("full")
        if (answer.text.isNotEmpty()) listener.onPiece(answer.text)
        answer
    }

    fun talk(vararg tools: Tool) = Conversation(engine, null, SessionSettings(tools = tools.toList()))
}

private fun text(text: String, ending: Ending = Ending.DONE) = Answer(text, ending, null)

private fun calls(vararg calls: ToolCall, text: String = "") = Answer(text, Ending.DONE, null, calls.toList())

private fun tool(called: String, run: (Map<String, Any?>) -> Any?) = object : Tool {
    override val name = called
    override val description = ""
    override val parameters = emptyMap<String, Any?>()

    override fun run(arguments: Map<String, Any?>): Any? = run(arguments)
}

fun main() {
    with(Suite()) {
        rounds()
        endings()
        sampleTools()
        texts()
        end()
    }
}

private fun Suite.rounds() {
    case("a call is run, its answer sent, and all of it kept in the history") {
        val script = Scripted(calls(CALL, text = "Let me see. "), text("It is noon."), text("Yes."))
        val talk = script.talk(NOON)
        val told = ArrayList<String>()
        val pieces = StringBuilder()
        val answer = talk.say("What time is it?", { call, said -> told.add("${call.name}: ${said.shown()}") }) { pieces.append(it) }
        same("Let me see. It is noon.", answer.text)
        same(answer.text, pieces.toString())
        same(Ending.DONE, answer.ending)
        same(listOf("clock: $SAYS_NOON"), told)
        val answers = Turn(Role.TOOL, "", answers = listOf(ToolAnswer("clock", SAYS_NOON)))
        same(listOf(Turn(Role.USER, "What time is it?"), answers), script.sent)
        val turns = listOf(script.sent[0], Turn(Role.ASSISTANT, "Let me see. ", listOf(CALL)), answers, Turn(Role.ASSISTANT, "It is noon."))
        same(turns, talk.turns)
        talk.say("Sure?") {}
        same(1, script.engine.starts.size)
        same(listOf(NOON), script.engine.starts[0].tools)
    }
    case("several calls at once are answered in their order") {
        val script = Scripted(calls(ToolCall("calculator", mapOf("expression" to "6*7")), CALL), text("Done."))
        script.talk(NOON, Calculator()).say("Both?") {}
        same(listOf(ToolAnswer("calculator", 42L), ToolAnswer("clock", SAYS_NOON)), script.sent[1].answers)
    }
    case("a tool that fails, is not there or gives what is no JSON tells the model so") {
        val broken = tool("broken") { throw IllegalStateException("no signal") }
        val odd = tool("odd") { Thread.currentThread() }
        val script = Scripted(calls(ToolCall("broken", emptyMap()), ToolCall("none", emptyMap()), ToolCall("odd", emptyMap())), text("Sorry."))
        same("Sorry.", script.talk(broken, odd).say("Please?") {}.text)
        val errors = script.sent[1].answers.map { (it.value as Map<*, *>)["error"] as String }
        same("no signal", errors[0])
        same("there is no such tool; there are: broken, odd", errors[1])
        holds("no type of JSON" in errors[2]) { errors[2] }
    }
    case("a model that only calls comes to an end, nothing was said then, and its session is closed") {
        var runs = 0
        val again = tool("again") { ++runs }
        val script = Scripted(*Array(20) { calls(ToolCall("again", emptyMap())) })
        val talk = script.talk(again)
        failsWith<EngineException>("called tools 8 times") { talk.say("Go.") {} }
        same(8, runs)
        same(emptyList<Turn>(), talk.turns)
        same(0, script.engine.open)
    }
    case("a stop while a tool runs ends the round: nothing is sent, and another session answers next") {
        lateinit var talk: Conversation
        val script = Scripted(calls(CALL, text = "So: "), text("Yes."))
        talk = script.talk(tool("clock") { talk.stop() })
        val answer = talk.say("What time is it?") {}
        same(Ending.CANCELLED, answer.ending)
        same(1, script.sent.size)
        same("Yes.", talk.say("Still there?") {}.text)
        same(2, script.engine.starts.size)
        val history = script.engine.starts[1].history
        same(listOf(Role.USER, Role.ASSISTANT, Role.TOOL), history.map { it.role })
        same("So: ", history[1].text)
    }
    case("a stop before any word was said forgets the question, its call too") {
        lateinit var talk: Conversation
        val script = Scripted(calls(CALL), text("Yes."))
        talk = script.talk(tool("clock") { talk.stop() })
        same("", talk.say("What time is it?") {}.text)
        same(emptyList<Turn>(), talk.turns)
        same("Yes.", talk.say("Still there?") {}.text)
    }
}

private fun Suite.endings() {
    case("an answer that fills the context says so; nothing more is said until a restart") {
        val script = Scripted(text("So far", Ending.CONTEXT), text("Afresh."))
        val talk = script.talk()
        same(Ending.CONTEXT, talk.say("Tell me everything.") {}.ending)
        same(true, talk.full)
        same(2, talk.turns.size)
        failsWith<ContextFullException>("filled") { talk.say("And?") {} }
        same(1, script.sent.size)
        talk.restart()
        same(false, talk.full)
        same("Afresh.", talk.say("And?") {}.text)
    }
    case("an answer cut by its limit says so, and the conversation goes on in another session") {
        val script = Scripted(text("One two", Ending.LIMIT), text("three."))
        val talk = script.talk()
        same(Ending.LIMIT, talk.say("Count.") {}.ending)
        same(false, talk.full)
        same("three.", talk.say("Go on.") {}.text)
        same(listOf("Count.", "One two"), script.engine.starts[1].history.map { it.text })
    }
    case("a message that does not fit leaves the conversation as it was") {
        val script = Scripted(text("Hello."), null, text("Fine."))
        val talk = script.talk()
        talk.say("Hi") {}
        fails<ContextFullException> { talk.say("long") {} }
        same(listOf("Hi", "Hello."), talk.turns.map { it.text })
        same("Fine.", talk.say("short") {}.text)
        same(2, script.engine.starts[1].history.size)
    }
}

private fun Suite.sampleTools() {
    case("the clock tells day, date and time of its zone") {
        same(SAYS_NOON, NOON.run(emptyMap()))
        val zone = TimeZone.getTimeZone("Asia/Kathmandu")
        same("Saturday 2025-11-29 17:45", Clock({ 1_764_417_600_000L }, { zone }).run(emptyMap()))
    }
    case("the calculator calculates exactly, and whole numbers are whole") {
        val right = mapOf(
            "17 + 25" to 42L, "(47 + 38) * 2" to 170L, "2+3*4" to 14L, "0.1 + 0.2" to 0.3, "7 / 2" to 3.5, "-2^2" to -4L,
            "2^-1" to 0.5, "2^3^2" to 512L, "17 % 5" to 2L, "1e3" to null, "9 - 3 - 2" to 4L, "6 × 7 ÷ 2 − 1" to 20L,
            "123456789012345678 + 1" to 123456789012345679L, "((((1))))" to 1L, "--3" to 3L, "1 / 3 * 3" to 1.0, "0 * 5" to 0L,
            "10^300" to 1e300, ".5 + 1." to 1.5,
        )
        for ((text, value) in right) {
            if (value == null) fails<IllegalArgumentException> { Arithmetic.value(text) } else same(value, Arithmetic.value(text))
        }
        same(42L, Calculator().run(mapOf("expression" to "6*7")))
        same(42L, Calculator().run(mapOf("expression" to 42L)))
    }
    case("what cannot be calculated is told in words, quickly") {
        val wrong = mapOf(
            "" to "the end is not expected", "1 +" to "the end", "1 + x" to "'x'", "(1" to "not closed", "1)" to "')'", "1/0" to "division by zero",
            "5 % (2-2)" to "division by zero", "0^-1" to "division by zero", "2^0.5" to "whole number", "9^999^9" to "whole number",
            "1.2.3" to "no number", "1 2" to "'2'", "10^999" to "too large", "1".repeat(201) to "at most 200", "import os" to "'i'",
        )
        for ((text, words) in wrong) failsWith<IllegalArgumentException>(words) { Arithmetic.value(text) }
        fails<IllegalArgumentException> { Arithmetic.value("(".repeat(200)) }
        fails<IllegalArgumentException> { Arithmetic.value("9^999*".repeat(30) + "9") }
        failsWith<IllegalArgumentException>("expression is missing") { Calculator().run(mapOf("text" to "1")) }
    }
}

private fun Suite.texts() {
    case("control tokens that somebody typed are broken, in every form, and other text stays the same") {
        val bad = listOf(
            "<turn|>", "<|turn>", "<|tool_call>", "<tool_response|>", "<|\"|>", "<|think|>", "<|image|>", "<channel|>", "<bos>", "<eos>", "<pad>",
            "<unk>", "<mask>", "<unused17>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>",
        )
        for (token in bad) {
            for (text in listOf(token, "a${token}b", "$token$token", "<|$token|>", "<turn$token")) {
                val harmless = ControlTokens.harmless(text)
                holds(bad.none { it in harmless }) { harmless }
                same(text, harmless.replace("\u2060", ""))
                same(harmless, ControlTokens.harmless(harmless))
            }
        }
        val good = "a < b |> c <| d, <b>bold</b>, List<Int>, x <- y, <!-- c -->, 1<2>1, cat <in |>out, <a href=\"|\">"
        same(good, ControlTokens.harmless(good))
        same(mapOf("<\u2060turn|>" to listOf("<\u2060|turn>", 1L, null)), ControlTokens.harmlessValue(mapOf("<turn|>" to listOf("<|turn>", 1L, null))))
    }
    case("values are written as JSON and read back as they were") {
        val value = mapOf("a" to listOf(1L, -2.5, true, null, "é\"\n"), "b" to emptyMap<String, Any?>(), "c" to emptyList<Any?>())
        same(value, Json.parse(Json.write(value)))
        for (bad in listOf(Double.NaN, Double.POSITIVE_INFINITY, Thread.currentThread(), listOf(setOf(1)))) {
            fails<IllegalArgumentException> { Json.write(bad) }
        }
        var deep: Any? = 1L
        repeat(40) { deep = listOf(deep) }
        fails<IllegalArgumentException> { Json.write(deep) }
    }
    case("a tool's answer is shown in a line") {
        same("12:00 UTC", ToolAnswer("clock", "12:00\n UTC").shown())
        same("{\"error\":\"no signal\"}", ToolAnswer("clock", mapOf("error" to "no signal")).shown())
        same(81, ToolAnswer("clock", "x".repeat(500)).shown().length)
    }
}
