package dev.gemmabridge.jni

import dev.gemmabridge.core.ChunkQueue
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Speed
import dev.gemmabridge.core.StreamSession
import dev.gemmabridge.core.Turn

/** A conversation in the native engine. */
internal class NativeSession(
    private val engine: NativeEngine,
    private val handle: Long,
    chunks: ChunkQueue,
) : StreamSession(chunks) {
    override fun begin(message: String) = Native.send(handle, bytes(message))

    override fun abort() = Native.cancel(handle)

    override fun release() {
        Native.end(handle)
        engine.forget(this)
    }

    override fun text(chunk: String): String = Messages.text(chunk)

    override fun speed(): Speed? {
        val found = Native.speed(handle) ?: return null
        return Speed(found[0].toInt(), found[1], found[2])
    }

    /** The prompt from [message] on up to where its answer would begin, by the model's own template. */
    fun render(message: String): String = held { Native.render(handle, bytes(message)).toString(Charsets.UTF_8) }

    private fun bytes(message: String) = Messages.one(Turn(Role.USER, message)).toByteArray(Charsets.UTF_8)
}
