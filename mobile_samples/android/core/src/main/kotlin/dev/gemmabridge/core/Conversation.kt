package dev.gemmabridge.core

import java.io.Closeable

/**
 * A chat that outlives stopped answers and failures of the engine: what was said is kept here, and a new [Session] is
 * given it when the old one is used up.
 *
 * [say] is called by one thread at a time; everything else by any.
 *
 * @param system an instruction that comes first; null for none.
 * @param settings sampling, limit and thinking; its history is not used.
 */
class Conversation(
    private val engine: Engine,
    private val system: String? = null,
    private val settings: SessionSettings = SessionSettings(),
) : Closeable {
    private val lock = Any()
    private var said: List<Turn> = emptyList()
    private var session: Session? = null
    private var stopped = false
    private var closed = false

    /** What was said so far, without the system turn; a stopped answer as far as it came. */
    val turns: List<Turn>
        get() = synchronized(lock) { said }

    /**
     * Sends a message and waits for the answer, which arrives in pieces.
     *
     * @throws EngineException the engine failed: nothing was said then, and the same message can be sent again. Most
     *     often the context is full, and [restart] helps.
     */
    fun say(message: String, listener: PieceListener): Answer {
        synchronized(lock) { stopped = false }
        val current = ready()
        val pieces = StringBuilder()
        val answer = try {
            current.send(message) { piece ->
                pieces.append(piece)
                listener.onPiece(piece)
                if (synchronized(lock) { stopped }) current.cancel()
            }
        } catch (error: Exception) {
            drop(current)
            throw error
        }
        synchronized(lock) {
            if (session === current) {
                val answered = if (answer.text.isEmpty()) emptyList() else listOf(Turn(Role.ASSISTANT, answer.text))
                // A question without any answer is forgotten: two of the user's turns in a row are not what a model knows.
                if (answered.isNotEmpty()) said = said + Turn(Role.USER, message) + answered
            }
        }
        if (!current.usable) drop(current)
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

    /** Forgets everything and begins again. */
    fun restart() {
        val old = synchronized(lock) {
            said = emptyList()
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
        val history = synchronized(lock) {
            if (closed) throw EngineException("the conversation is closed")
            session?.let { return it }
            said
        }
        val first = if (system.isNullOrBlank()) emptyList() else listOf(Turn(Role.SYSTEM, system))
        val fresh = engine.start(settings.copy(history = first + history))
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
