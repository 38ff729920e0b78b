package dev.gemmabridge.aar

import com.google.ai.edge.litertlm.Content
import com.google.ai.edge.litertlm.Conversation
import com.google.ai.edge.litertlm.Message
import com.google.ai.edge.litertlm.MessageCallback
import com.google.ai.edge.litertlm.ThinkingConfig
import dev.gemmabridge.core.Answer
import dev.gemmabridge.core.Ending
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.PieceListener
import dev.gemmabridge.core.Session
import dev.gemmabridge.core.SessionSettings
import java.util.concurrent.CancellationException
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/** A conversation in Google's library, whose callbacks are handed to the thread that waits in [send]. */
internal class LiteRtLmSession(
    private val conversation: Conversation,
    private val settings: SessionSettings,
    private val gone: (LiteRtLmSession) -> Unit,
) : Session {
    private val lock = ReentrantLock()
    private val idle = lock.newCondition()

    /** Who is in [send]. */
    private var sender: Thread? = null
    private var closed = false
    private var cancelled = false

    override val usable: Boolean
        get() = lock.withLock { !closed && !cancelled }

    override fun send(message: String, listener: PieceListener): Answer {
        lock.withLock {
            if (closed || cancelled) throw EngineException("the session is used up")
            sender = Thread.currentThread()
        }
        try {
            return receive(message, listener)
        } finally {
            finish()
        }
    }

    private fun receive(message: String, listener: PieceListener): Answer {
        val events = LinkedBlockingQueue<Event>()
        val text = StringBuilder()
        try {
            conversation.sendMessageAsync(
                Message.user(message),
                Forward(events),
                maxOutputToken = settings.maxTokens.takeIf { it > 0 },
                thinkingConfig = ThinkingConfig(enableThinking = settings.thinking),
            )
        } catch (error: Exception) {
            throw EngineException(error.message ?: error.toString(), error)
        }
        var thrown: Throwable? = null
        while (true) {
            when (val event = events.take()) {
                is Event.Piece -> if (thrown == null) {
                    text.append(event.text)
                    // What the listener throws ends the answer; the library must have let go before it is passed on.
                    try {
                        listener.onPiece(event.text)
                    } catch (error: Throwable) {
                        thrown = error
                        cancel()
                    }
                }
                is Event.End -> {
                    thrown?.let { throw it }
                    if (event.error == null) return Answer(text.toString(), ending(), null)
                    if (event.error is CancellationException || lock.withLock { cancelled }) {
                        return Answer(text.toString(), Ending.CANCELLED, null)
                    }
                    throw EngineException(event.error.message ?: event.error.toString(), event.error)
                }
            }
        }
    }

    private fun ending() = if (lock.withLock { cancelled }) Ending.CANCELLED else Ending.DONE

    override fun cancel() {
        lock.withLock {
            if (sender == null || closed) return
            cancelled = true
            conversation.cancelProcess()
        }
    }

    override fun close() {
        lock.withLock {
            if (closed) return
            closed = true
            if (sender != null) {
                cancelled = true
                conversation.cancelProcess()
            }
            // A listener that closes its own session is still inside the answer: finish() frees it then.
            if (sender == Thread.currentThread()) return
            while (sender != null) idle.awaitUninterruptibly()
        }
        free()
    }

    private fun finish() {
        val own = lock.withLock {
            val closedHere = closed && !lock.hasWaiters(idle)
            sender = null
            idle.signalAll()
            closedHere
        }
        if (own) free()
    }

    private fun free() {
        conversation.close()
        gone(this)
    }

    private sealed class Event {
        class Piece(val text: String) : Event()

        class End(val error: Throwable?) : Event()
    }

    private class Forward(private val events: LinkedBlockingQueue<Event>) : MessageCallback {
        override fun onMessage(message: Message) {
            val text = message.contents.contents.filterIsInstance<Content.Text>().joinToString("") { it.text }
            if (text.isNotEmpty()) events.put(Event.Piece(text))
        }

        override fun onDone() = events.put(Event.End(null))

        override fun onError(throwable: Throwable) = events.put(Event.End(throwable))
    }
}
