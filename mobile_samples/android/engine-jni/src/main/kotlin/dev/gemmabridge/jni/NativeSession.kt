package dev.gemmabridge.jni

import dev.gemmabridge.core.Chunk
import dev.gemmabridge.core.ChunkQueue
import dev.gemmabridge.core.Speed
import dev.gemmabridge.core.StreamSession
import dev.gemmabridge.core.ToolCall
import dev.gemmabridge.core.Turn

/** A conversation in the native engine. */
internal class NativeSession(
    private val engine: NativeEngine,
    private val handle: Long,
    chunks: ChunkQueue,
    limit: Int,
    context: Int,
) : StreamSession(chunks, limit, context) {
    override fun begin(turn: Turn) = Native.send(handle, bytes(turn))

    override fun abort() = Native.cancel(handle)

    override fun release() {
        Native.end(handle)
        engine.forget(this)
    }

    override fun text(chunk: String): String = Messages.text(chunk)

    override fun calls(chunk: Chunk): List<ToolCall> = Messages.calls(chunk.text)

    override fun speed(): Speed? {
        val found = Native.speed(handle) ?: return null
        return Speed(found[0].toInt(), found[1], found[2])
    }

    public override fun taken(): Int? = Native.taken(handle).takeIf { it >= 0 }

    /** The prompt from [turn] on up to where its answer would begin, by the model's own template. */
    fun render(turn: Turn): String = held { Native.render(handle, bytes(turn.harmless())).toString(Charsets.UTF_8) }

    private fun bytes(turn: Turn) = Messages.one(turn).toByteArray(Charsets.UTF_8)
}
