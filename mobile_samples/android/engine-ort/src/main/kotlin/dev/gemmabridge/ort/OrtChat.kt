package dev.gemmabridge.ort

import dev.gemmabridge.core.Chunk
import dev.gemmabridge.core.ChunkQueue
import dev.gemmabridge.core.ContextFullException
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Speed
import dev.gemmabridge.core.StreamSession
import dev.gemmabridge.core.Turn
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.concurrent.thread

/** A conversation: every message is read with all that was said, of which the cache keeps what it knows. */
internal class OrtChat(
    private val engine: OrtEngine,
    private val settings: SessionSettings,
    private val sampling: Sampling,
    private val chunks: ChunkQueue,
) : StreamSession(chunks, settings.maxTokens, engine.context) {
    private val aborted = AtomicBoolean(false)
    private val cache = Cache(engine.graphs) { aborted.get() }
    private val gallery = Gallery(engine.graphs)
    private var turns = settings.history.map { it.harmless() }

    @Volatile private var speed: Speed? = null

    override fun begin(turn: Turn) {
        if (turn.role != Role.USER) throw EngineException("this engine takes no answers of tools")
        val all = turns + turn
        val pictures = OrtEngine.told { gallery.of(all) }
        val ids = engine.prompt(all, settings.thinking, pictures.map { it.tokens })
        if (ids.size >= engine.context) throw ContextFullException(full(ids.size, pictures.sumOf { it.tokens }))
        thread(name = "answer") { whole(all, ids, pictures) }
    }

    private fun full(tokens: Int, seen: Int): String {
        val among = if (seen > 0) ", $seen of them of pictures," else ""
        return "$tokens tokens$among do not fit a context of ${engine.context}"
    }

    /** The last chunk comes in any case. */
    private fun whole(all: List<Turn>, ids: IntArray, pictures: List<Shown>) {
        val last = try {
            answer(all, ids, pictures)
        } catch (error: Throwable) { // whoever waits would wait for ever
            Chunk(error.message ?: error.toString(), failed = true, last = true)
        }
        chunks.put(last)
    }

    private fun answer(all: List<Turn>, ids: IntArray, pictures: List<Shown>): Chunk {
        val began = System.nanoTime()
        val drawing = Drawing(engine.feeding, engine.tokenizer, sampling)
        val text = StringBuilder()
        var rows = FloatArray(0)
        for (picture in pictures) {
            if (aborted.get()) return CANCEL
            rows += OrtEngine.told { picture.rows(engine.graphs) }
        }
        var logits = cache.read(ids, rows) ?: return CANCEL
        val first = System.nanoTime()
        while (true) {
            val token = drawing.next(logits) ?: break
            tell(drawing.take(token), text)
            if (drawing.tokens == settings.maxTokens || cache.size == engine.context) break
            logits = cache.step(token) ?: return CANCEL
        }
        tell(drawing.finish(), text)
        val decoding = (System.nanoTime() - first) / NANOS
        speed = Speed(drawing.tokens, if (decoding > 0) drawing.tokens / decoding else 0.0, (first - began) / NANOS)
        turns = all + Turn(Role.ASSISTANT, text.toString())
        return Chunk("", failed = false, last = true)
    }

    private fun tell(piece: String, text: StringBuilder) {
        if (piece.isEmpty()) return
        text.append(piece)
        chunks.put(Chunk(piece, failed = false, last = false))
    }

    override fun abort() = aborted.set(true)

    override fun release() {
        cache.close()
        engine.forget(this)
    }

    override fun text(chunk: String): String = chunk

    override fun taken(): Int = cache.size

    override fun speed(): Speed? = speed

    private companion object {
        const val NANOS = 1e9
        val CANCEL = Chunk(CANCELLED, failed = true, last = true)
    }
}
