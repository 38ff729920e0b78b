package dev.gemmabridge.core

import java.io.Closeable

/**
 * A chat that outlives stopped answers and failures of the engine: what was said is kept here, and a new [Session] is
 * given it when the old one is used up.
 *
 * [say] is called by one thread at a time; everything else by any.
 *
 * @param system an instruction that comes first; null for none.
 * @param settings sampling, limit, thinking and tools to begin with; its history is not used.
 */
class Conversation(
    private val engine: Engine,
    private val system: String? = null,
    settings: SessionSettings = SessionSettings(),
) : Closeable {
    private val lock = Any()
    private val loop = ToolLoop(settings.tools)
    private var settings = settings
    private var said: List<Turn> = emptyList()
    private var session: Session? = null
    private var stopped = false
    private var closed = false
    private var filled = false

    /** What was said so far, without the system turn; a stopped answer as far as it came. */
    val turns: List<Turn>
        get() = synchronized(lock) { said }

    /** Whether the last answer filled the context: nothing more can be said until [restart]. */
    val full: Boolean
        get() = synchronized(lock) { filled }

    /**
     * Sends a message, with the files of [pictures] before it, runs the tools that the model asks for, and waits for the answer, which arrives in pieces.
     *
     * @throws ContextFullException the message does not fit: shorten it, or [restart].
     * @throws EngineException the engine failed. In either case nothing was said, and the same message can be sent again.
     */
    @JvmOverloads
    fun say(
        message: String,
        watcher: ToolListener = ToolListener { _, _ -> },
        pictures: List<String> = emptyList(),
        listener: PieceListener,
    ): Answer {
        synchronized(lock) {
            if (filled) throw ContextFullException("the conversation has filled its context")
            stopped = false
        }
        val current = ready()
        val stop = { synchronized(lock) { stopped } }
        val exchange = try {
            val pieces = PieceListener { piece ->
                listener.onPiece(piece)
                if (stop()) current.cancel()
            }
            loop.run(current, Turn(Role.USER, message, pictures = pictures), pieces, watcher, stop)
        } catch (error: Exception) {
            drop(current)
            throw error
        }
        val answer = exchange.answer
        synchronized(lock) {
            if (session === current) {
                // A question without any answer is forgotten: two of the user's turns in a row are not what a model knows.
                if (answer.text.isNotEmpty()) said = said + exchange.turns
                filled = answer.ending == Ending.CONTEXT
            }
        }
        // After an answer that was cut the engine goes on without closing the model's turn; the template closes it.
        if (!current.usable || answer.ending != Ending.DONE) drop(current)
        return answer
    }

    /** Ends the answer that is coming. */
    fun stop() {
        val current = synchronized(lock) {
            stopped = true
            session
        }
        current?.cancel()
    }

    /** Chooses tokens in another way from the next message on. What was said is kept; an answer that is coming ends. */
    fun sample(sampling: Sampling?) {
        val old = synchronized(lock) {
            if (settings.sampling == sampling) return
            settings = settings.copy(sampling = sampling)
            val old = session
            session = null
            old
        }
        old?.close()
    }

    /** Forgets everything and begins again. */
    fun restart() {
        val old = synchronized(lock) {
            said = emptyList()
            filled = false
            val old = session
            session = null
            old
        }
        old?.close()
    }

    /** Frees the session; the engine stays. */
    override fun close() {
        val old = synchronized(lock) {
            closed = true
            val old = session
            session = null
            old
        }
        old?.close()
    }

    private fun ready(): Session {
        val first = if (system.isNullOrBlank()) emptyList() else listOf(Turn(Role.SYSTEM, system))
        val begin = synchronized(lock) {
            if (closed) throw EngineException("the conversation is closed")
            session?.let { return it }
            settings.copy(history = first + said)
        }
        val fresh = engine.start(begin)
        val taken = synchronized(lock) {
            if (closed) false else {
                session = fresh
                true
            }
        }
        if (!taken) {
            fresh.close()
            throw EngineException("the conversation is closed")
        }
        return fresh
    }

    private fun drop(used: Session) {
        synchronized(lock) { if (session === used) session = null }
        used.close()
    }
}
