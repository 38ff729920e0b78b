package dev.gemmabridge.test

import dev.gemmabridge.core.Answer
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Digest
import dev.gemmabridge.core.Ending
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.GoldenFile
import dev.gemmabridge.core.PieceListener
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Session
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.ToolAnswer
import dev.gemmabridge.core.Turn

/** [text] with another `self_sha256`, the right one. */
fun signed(text: String): ByteArray {
    val key = "\"self_sha256\": \""
    val at = text.indexOf(key) + key.length
    val zeroed = text.substring(0, at) + "0".repeat(64) + text.substring(at + 64)
    return zeroed.replaceRange(at, at + 64, Digest.sha256(zeroed.toByteArray())).toByteArray()
}

/** A word for each token id. */
fun word(token: Int) = "w$token "

/**
 * An engine with logits: those of the goldens' steps, changed by [noise] before the best one is taken. Without noise it says
 * what the reference says; with enough of it, what a GPU with a wrong kernel might.
 */
class LogitsEngine(
    override val backend: Backend,
    private val steps: Map<String, List<Pair<IntArray, DoubleArray>>>,
    private val stops: Set<Int>,
    private val spells: Boolean = true,
    private val noise: (step: Int, rank: Int) -> Double = { _, _ -> 0.0 },
) : Engine {
    val starts = ArrayList<SessionSettings>()
    var closed = false

    private fun say(key: String, limit: Int): String {
        val out = StringBuilder()
        val steps = steps[key] ?: throw EngineException("no such prompt: $key")
        for ((i, step) in steps.take(limit).withIndex()) {
            val (tokens, logits) = step
            val best = tokens.indices.maxByOrNull { logits[it] + noise(i, it) }!!
            if (tokens[best] in stops) break
            out.append(word(tokens[best]))
        }
        return out.toString()
    }

    override fun start(settings: SessionSettings): Session {
        starts.add(settings)
        return object : Session {
            override val usable = true

            override fun send(message: String, listener: PieceListener): Answer {
                val text = say((settings.history.map { it.text } + message).joinToString("|"), settings.maxTokens)
                listener.onPiece(text)
                return Answer(text, Ending.DONE, null)
            }

            override fun cancel() = Unit

            override fun close() = Unit
        }
    }

    override fun complete(prompt: String, maxTokens: Int): String? = if (spells) say(prompt, maxTokens) else null

    override fun tokenize(text: String): IntArray? = null

    override fun detokenize(tokens: IntArray): String? = if (spells) tokens.joinToString("") { word(it) } else null

    override fun close() {
        closed = true
    }
}

/** Engines by backend; a null cannot be loaded. */
class Factory(private val engines: Map<Backend, () -> Engine?>) : EngineFactory {
    override val backends: List<Backend> = engines.keys.toList()
    val opened = ArrayList<Backend>()

    override fun open(settings: EngineSettings, backend: Backend): Engine {
        opened.add(backend)
        return engines.getValue(backend)() ?: throw EngineException("no driver")
    }
}

/** A session that says what [script] says to its history and the turn that it is sent. */
class ScriptEngine(private val script: (List<Turn>, Turn, PieceListener, () -> Boolean) -> Answer) : Engine {
    override val backend = Backend.CPU
    val starts = ArrayList<SessionSettings>()
    var open = 0

    override fun start(settings: SessionSettings): Session {
        starts.add(settings)
        open++
        val history = ArrayList(settings.history)
        return object : Session {
            @Volatile
            var cancelled = false
            var closed = false
            override val usable: Boolean
                get() = !cancelled

            override fun send(message: String, listener: PieceListener) = send(message, emptyList(), listener)

            override fun send(message: String, pictures: List<String>, listener: PieceListener) =
                exchange(Turn(Role.USER, message, pictures = pictures), listener)

            override fun answer(answers: List<ToolAnswer>, listener: PieceListener) =
                exchange(Turn(Role.TOOL, "", answers = answers), listener)

            private fun exchange(turn: Turn, listener: PieceListener): Answer {
                if (cancelled) throw EngineException("used up")
                val answer = script(history, turn, listener) { cancelled }
                history.add(turn)
                history.add(Turn(Role.ASSISTANT, answer.text, answer.calls))
                return answer
            }

            override fun cancel() {
                cancelled = true
            }

            override fun close() {
                if (!closed) open--
                closed = true
            }
        }
    }

    override fun complete(prompt: String, maxTokens: Int): String? = null

    override fun tokenize(text: String): IntArray? = null

    override fun detokenize(tokens: IntArray): String? = null

    override fun close() = Unit
}

/** A golden.json that is right in every digest: a chat that is certain, a bare prompt that is so in part, one that is not. */
object Goldens {
    const val ARTIFACT = "aa11bb22cc33dd44ee55ff66aa11bb22cc33dd44ee55ff66aa11bb22cc33dd44"
    const val STOP = 1
    private val chat = listOf(row(10, 6.0), row(11, 5.0), row(STOP, 9.0))
    private val bare = listOf(row(20, 4.0), row(21, 3.0), row(22, 0.01), row(23, 2.0))

    /** The best token, then four others, each [margin] worse than the one before. */
    private fun row(token: Int, margin: Double) =
        Pair(IntArray(5) { if (it == 0) token else token + 100 * it }, DoubleArray(5) { 20.0 - margin * it })

    val steps = mapOf("Hello?" to chat, "Once" to bare, "Maybe" to bare.take(2))

    fun json(certain: List<Int> = listOf(3, 2, 0)): String {
        val items = listOf(
            item("Hello?", "[{\"role\":\"user\",\"content\":\"Hello?\"}]", chat, certain[0], word(10) + word(11)),
            item("Once", "[]", bare, certain[1], word(20) + word(21) + word(22) + word(23)),
            item("Maybe", "[]", bare.take(2), certain[2], word(20) + word(21)),
        )
        return "{\"artifact_sha256\":\"$ARTIFACT\",\"goldens\":[${items.joinToString(",")}],\"mean_tolerance\":0.1," +
            "\"schema_version\":1,\"stop_tokens\":[$STOP],\"tolerance\":0.5}"
    }

    fun file(certain: List<Int> = listOf(3, 2, 0)): GoldenFile = GoldenFile.parse(json(certain).toByteArray())

    private fun item(
        prompt: String,
        messages: String,
        rows: List<Pair<IntArray, DoubleArray>>,
        certain: Int,
        text: String,
    ): String {
        val best = rows.map { it.first[0] }
        val digest = dev.gemmabridge.core.Digest.tokens(intArrayOf(2, 5) + best.take(certain))
        val steps = rows.joinToString(",") { (tokens, logits) ->
            "{\"digest\":\"${dev.gemmabridge.core.Digest.step(tokens, logits)}\"," +
                "\"logits\":${logits.toList()},\"tokens\":${tokens.toList()}}"
        }
        return "{\"answer\":null,\"certain\":$certain,\"continuation\":$best,\"ids\":[2,5],\"messages\":$messages," +
            "\"prompt\":\"$prompt\",\"steps\":[$steps],\"text\":\"$text\",\"tokens_sha256\":\"$digest\"}"
    }
}
