package dev.gemmabridge.core

import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/** A piece of an answer as an engine sends it, or why it [failed]; nothing comes after the [last] one. */
class Chunk @JvmOverloads constructor(
    val text: String,
    val failed: Boolean,
    val last: Boolean,
    val calls: List<ToolCall> = emptyList(),
)

/**
 * Where an engine's threads leave their chunks: putting one never blocks. Whatever an app does with the text happens on
 * the thread that asked for it.
 */
class ChunkQueue {
    private val queue = LinkedBlockingQueue<Chunk>()

    fun put(chunk: Chunk) = queue.put(chunk)

    internal fun take(): Chunk = queue.take()

    internal fun clear() = queue.clear()
}

/**
 * A [Session] over an engine that streams from threads of its own, and whose memory must not be freed while they run.
 *
 * It is freed when nobody uses it: [close] during an answer cancels it and waits until the sending thread has taken the
 * last chunk. Called on the sending thread itself, within its listener, it leaves the freeing to [send].
 *
 * @param limit tokens of an answer, 0 for none.
 * @param context positions, 0 where nobody knows.
 */
abstract class StreamSession(
    private val chunks: ChunkQueue,
    private val limit: Int,
    private val context: Int,
) : Session {
    private val lock = ReentrantLock()
    private val idle = lock.newCondition()
    private var sender: Thread? = null
    private var cancelled = false
    private var failed = false
    private var closing = false
    private var freed = false

    /**
     * Hands a turn of the user's or of tools to the engine and returns; the answer goes to the queue, to its last chunk
     * in any case. No text in the turn spells a control token.
     */
    protected abstract fun begin(turn: Turn)

    /** Asks the engine to end the answer. Called while one is coming, perhaps more than once. */
    protected abstract fun abort()

    /** Frees the memory; called once, when no answer is coming. */
    protected abstract fun release()

    /** The text for people in a chunk. */
    protected abstract fun text(chunk: String): String

    /** What the model asks for in a chunk. */
    protected open fun calls(chunk: Chunk): List<ToolCall> = chunk.calls

    /** Of the answer that has just ended. */
    protected abstract fun speed(): Speed?

    /** Positions of the context that are taken; null where the engine does not tell. */
    protected abstract fun taken(): Int?

    override val usable: Boolean
        get() = lock.withLock { !cancelled && !failed && !closing }

    override fun send(message: String, listener: PieceListener): Answer = send(message, emptyList(), listener)

    override fun send(message: String, pictures: List<String>, listener: PieceListener): Answer =
        exchange(Turn(Role.USER, message, pictures = pictures), listener)

    override fun answer(answers: List<ToolAnswer>, listener: PieceListener): Answer =
        exchange(Turn(Role.TOOL, "", answers = answers), listener)

    private fun exchange(turn: Turn, listener: PieceListener): Answer {
        lock.withLock {
            if (closing) throw EngineException("the session is closed")
            if (cancelled || failed) throw EngineException("the session is used up: begin another one")
            if (sender != null) throw EngineException("the session is answering already")
            sender = Thread.currentThread()
        }
        try {
            chunks.clear()
            begin(turn.harmless())
            lock.withLock { if (cancelled) abort() } // one that came before the engine had begun is lost on it
            return gather(listener)
        } catch (error: Throwable) {
            lock.withLock { failed = true }
            throw if (error is EngineException && noRoom(error)) ContextFullException(error.message!!, error) else error
        } finally {
            lock.withLock {
                sender = null
                if (closing) free()
                idle.signalAll()
            }
        }
    }

    /** Takes chunks until the last one, whatever happens: until then the engine uses the memory. */
    private fun gather(listener: PieceListener): Answer {
        val text = StringBuilder()
        val calls = ArrayList<ToolCall>()
        var pieces = 0
        var problem: Throwable? = null
        var interrupted = false
        while (true) {
            val chunk = try {
                chunks.take()
            } catch (error: InterruptedException) {
                interrupted = true
                cancel()
                continue
            }
            if (chunk.failed) {
                if (!ended(chunk.text) && problem == null) problem = EngineException("the engine failed: ${chunk.text}")
            } else if (problem == null) {
                if (!chunk.last || chunk.text.isNotEmpty()) pieces++
                calls.addAll(calls(chunk))
                problem = tell(text(chunk.text), text, listener)
            }
            if (chunk.last) break
            lock.withLock { if (cancelled) abort() } // the engine may have begun after all
        }
        if (interrupted) Thread.currentThread().interrupt()
        problem?.let { throw it }
        return answer(text.toString(), calls, pieces)
    }

    private fun answer(text: String, calls: List<ToolCall>, pieces: Int): Answer {
        val speed = speed()
        if (lock.withLock { cancelled }) return Answer(text, Ending.CANCELLED, speed, calls)
        val full = context > 0 && (taken() ?: 0) >= context
        // A full conversation is answered with nothing, and without an error.
        if (full && text.isEmpty() && calls.isEmpty()) throw ContextFullException("all $context positions are taken")
        val ending = when {
            full -> Ending.CONTEXT
            limit > 0 && calls.isEmpty() && (speed?.tokens ?: pieces) >= limit -> Ending.LIMIT
            else -> Ending.DONE
        }
        return Answer(text, ending, speed, calls)
    }

    /** What the listener threw, if it did. */
    private fun tell(piece: String, text: StringBuilder, listener: PieceListener): Throwable? {
        if (piece.isEmpty()) return null
        text.append(piece)
        return try {
            listener.onPiece(piece)
            null
        } catch (error: Throwable) {
            cancel()
            error
        }
    }

    /** Errors that are no failures: a cancelled answer ends with one, and so does one that reached its limit. */
    private fun ended(error: String): Boolean =
        LIMIT in error || (CANCELLED in error && lock.withLock { cancelled })

    /** How LiteRT-LM says it: of a prompt that is longer than all of the context, and of one longer than its rest. */
    private fun noRoom(error: EngineException) = NO_ROOM.any { it in error.message.orEmpty() }

    override fun cancel() {
        lock.withLock {
            if (sender == null || freed) return
            cancelled = true
            abort()
        }
    }

    override fun close() {
        lock.withLock {
            closing = true
            if (sender != null) cancel()
            if (sender === Thread.currentThread()) return // send frees it
            while (sender != null) idle.awaitUninterruptibly()
            free()
        }
    }

    /** Runs [action] while the session cannot be closed. */
    protected fun <T> held(action: () -> T): T = lock.withLock {
        if (closing) throw EngineException("the session is closed")
        action()
    }

    private fun free() {
        if (freed) return
        freed = true
        release()
    }

    companion object {
        /** What LiteRT-LM says of an answer that was cancelled. */
        const val CANCELLED = "CANCELLED"
        private const val LIMIT = "Max number of tokens reached"
        private val NO_ROOM = listOf("Exceeding the maximum number of tokens", "exceeds available state entries")
    }
}
