package dev.gemmabridge.aar

import com.google.ai.edge.litertlm.Content
import com.google.ai.edge.litertlm.Conversation
import com.google.ai.edge.litertlm.Message
import com.google.ai.edge.litertlm.MessageCallback
import dev.gemmabridge.core.Chunk
import dev.gemmabridge.core.ChunkQueue
import dev.gemmabridge.core.Speed
import dev.gemmabridge.core.StreamSession
import dev.gemmabridge.core.ToolCall
import dev.gemmabridge.core.Turn
import java.util.concurrent.CancellationException

/** A conversation in Google's Kotlin API, by its callback: the flow has no end that a cancelled collector could wait for. */
internal class AarSession(
    private val engine: AarEngine,
    private val conversation: Conversation,
    private val chunks: ChunkQueue,
    limit: Int,
    context: Int,
) : StreamSession(chunks, limit, context) {
    private val callback = object : MessageCallback {
        override fun onMessage(message: Message) {
            // Thoughts come in a channel of their own and are no part of the contents.
            val text = message.contents.contents.joinToString("") { (it as? Content.Text)?.text ?: "" }
            val calls = message.toolCalls.map { ToolCall(it.name, it.arguments) }
            chunks.put(Chunk(text, failed = false, last = false, calls = calls))
        }

        override fun onDone() = chunks.put(Chunk("", failed = false, last = true))

        override fun onError(throwable: Throwable) {
            val text = if (throwable is CancellationException) CANCELLED else throwable.message ?: throwable.toString()
            chunks.put(Chunk(text, failed = true, last = true))
        }
    }

    override fun begin(turn: Turn) = Failures.told("the engine does not take the message") {
        conversation.sendMessageAsync(AarMessages.of(turn), callback)
    }

    override fun abort() = conversation.cancelProcess()

    override fun release() {
        conversation.close()
        engine.forget(this)
    }

    override fun text(chunk: String): String = chunk

    override fun taken(): Int? = try {
        conversation.getTokenCount()
    } catch (error: Exception) { // an answer that came is worth more than its count
        null
    }

    /** Measured by the library under an experimental flag only. */
    override fun speed(): Speed? = null
}
