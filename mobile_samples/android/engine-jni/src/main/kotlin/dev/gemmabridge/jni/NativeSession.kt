package dev.gemmabridge.jni

import dev.gemmabridge.core.Answer
import dev.gemmabridge.core.Ending
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.PieceListener
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Session
import dev.gemmabridge.core.Speed
import dev.gemmabridge.core.Turn
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/**
 * A conversation in the native engine.
 *
 * The handle is freed when nobody uses it: [close] during an answer cancels it and waits until the sending thread has
 * taken the last chunk. Called on the sending thread itself, within its listener, it leaves the freeing to [send].
 */
internal class NativeSession(
    private val engine: NativeEngine,
    private val handle: Long,
    private val sink: ChunkSink,
) : Session {
    private val lock = ReentrantLock()
    private val idle = lock.newCondition()
    private var sender: Thread? = null
    private var cancelled = false
    private var failed = false
    private var closing = false
    private var freed = false

    override val usable: Boolean
        get() = lock.withLock { !cancelled && !failed && !closing }

    override fun send(message: String, listener: PieceListener): Answer {
        lock.withLock {
            if (closing) throw EngineException("the session is closed")
            if (cancelled || failed) throw EngineException("the session is used up: begin another one")
            if (sender != null) throw EngineException("the session is answering already")
            sender = Thread.currentThread()
        }
        try {
            sink.clear()
            Native.send(handle, Messages.one(Turn(Role.USER, message)).toByteArray(Charsets.UTF_8))
            val text = gather(listener)
            val ending = if (lock.withLock { cancelled }) Ending.CANCELLED else Ending.DONE
            return Answer(text, ending, speed())
        } catch (error: Throwable) {
            lock.withLock { failed = true }
            throw error
        } finally {
            lock.withLock {
                sender = null
                if (closing) free()
                idle.signalAll()
            }
        }
    }

    /** Takes chunks until the last one, whatever happens: until then the engine uses the handle. */
    private fun gather(listener: PieceListener): String {
        val text = StringBuilder()
        var problem: Throwable? = null
        var interrupted = false
        while (true) {
            val chunk = try {
                sink.take()
            } catch (error: InterruptedException) {
                interrupted = true
                cancel()
                continue
            }
            if (chunk.failed) {
                if (!ended(chunk.text) && problem == null) problem = EngineException("the engine failed: ${chunk.text}")
            } else {
                val piece = Messages.text(chunk.text)
                if (piece.isNotEmpty() && problem == null) {
                    text.append(piece)
                    try {
                        listener.onPiece(piece)
                    } catch (error: Throwable) {
                        problem = error
                        cancel()
                    }
                }
            }
            if (chunk.last) break
            // A cancel that came before the engine had begun is lost on it.
            lock.withLock { if (cancelled) Native.cancel(handle) }
        }
        if (interrupted) Thread.currentThread().interrupt()
        problem?.let { throw it }
        return text.toString()
    }

    /** Errors that are no failures: a cancelled answer ends with one, and so does one that reached its limit. */
    private fun ended(error: String): Boolean =
        "Max number of tokens reached" in error || ("CANCELLED" in error && lock.withLock { cancelled })

    private fun speed(): Speed? {
        val found = Native.speed(handle) ?: return null
        return Speed(found[0].toInt(), found[1], found[2])
    }

    /** The whole prompt up to where the answer to [message] would begin, by the model's own template. */
    fun render(message: String): String = lock.withLock {
        if (closing) throw EngineException("the session is closed")
        Native.render(handle, Messages.one(Turn(Role.USER, message)).toByteArray(Charsets.UTF_8)).toString(Charsets.UTF_8)
    }

    override fun cancel() {
        lock.withLock {
            if (sender == null || freed) return
            cancelled = true
            Native.cancel(handle)
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

    private fun free() {
        if (freed) return
        freed = true
        Native.end(handle)
        engine.forget(this)
    }
}
