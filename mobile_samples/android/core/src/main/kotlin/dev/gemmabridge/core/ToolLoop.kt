package dev.gemmabridge.core

/** Told of every call after its answer, on the thread that called [Conversation.say]. */
fun interface ToolListener {
    fun onTool(call: ToolCall, answer: ToolAnswer)
}

/** A question, the calls and answers in between, and the end: [turns] begin with the user's. */
class Exchange(val turns: List<Turn>, val answer: Answer)

/**
 * Runs the tools that a model asks for and gives it their answers, until it answers the user.
 *
 * @param rounds so many times at most in one answer: a model that only calls would never end.
 */
class ToolLoop @JvmOverloads constructor(private val tools: List<Tool>, private val rounds: Int = ROUNDS) {
    /**
     * @param question the user's turn.
     * @param stopped whether the user wants no more of this answer: nothing is run and nothing sent then.
     * @return the answer's text is that of all rounds together.
     * @throws ContextFullException a tool's answer does not fit into the context any more.
     * @throws EngineException the engine failed, or the model still called tools after the last round.
     */
    fun run(
        session: Session,
        question: Turn,
        listener: PieceListener,
        watcher: ToolListener,
        stopped: () -> Boolean,
    ): Exchange {
        val turns = arrayListOf(question)
        var answer = spoken(session.send(question.text, question.pictures, listener))
        val text = StringBuilder(answer.text)
        var round = 0
        while (answer.calls.isNotEmpty() && answer.ending != Ending.CANCELLED && !stopped()) {
            if (round++ == rounds) throw EngineException("the model called tools $rounds times and gave no answer")
            val answers = answer.calls.map { call -> answer(call).also { watcher.onTool(call, it) } }
            turns.add(Turn(Role.ASSISTANT, answer.text, answer.calls))
            turns.add(Turn(Role.TOOL, "", answers = answers))
            if (stopped()) return Exchange(turns, Answer(text.toString(), Ending.CANCELLED, answer.speed))
            answer = spoken(session.answer(answers, listener))
            text.append(answer.text)
        }
        if (answer.text.isNotEmpty()) turns.add(Turn(Role.ASSISTANT, answer.text))
        val ending = if (answer.calls.isEmpty()) answer.ending else Ending.CANCELLED
        return Exchange(turns, Answer(text.toString(), ending, answer.speed))
    }

    /** A call that was cut in its middle comes as text: it is nothing that anybody said. */
    private fun spoken(answer: Answer): Answer {
        val ended = answer.ending != Ending.DONE
        return if (ended && tools.isNotEmpty()) answer.copy(text = answer.text.substringBefore(CALL)) else answer
    }

    /** Never throws what a tool throws: the model is told, and may do better. */
    private fun answer(call: ToolCall): ToolAnswer {
        val tool = tools.firstOrNull { it.name == call.name }
        val value = try {
            if (tool == null) problem("there is no such tool; there are: ${tools.joinToString(", ") { it.name }}")
            else tool.run(call.arguments).also { Json.write(it) }
        } catch (error: Exception) {
            problem(error.message ?: error.toString())
        }
        return ToolAnswer(call.name, value)
    }

    private fun problem(words: String) = mapOf("error" to words)

    private companion object {
        const val ROUNDS = 8
        const val CALL = "<|tool_call>"
    }
}
