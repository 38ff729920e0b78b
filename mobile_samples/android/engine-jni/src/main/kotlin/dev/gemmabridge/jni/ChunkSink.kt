package dev.gemmabridge.jni

import java.util.concurrent.LinkedBlockingQueue

/** A piece of an answer as the engine sends it: a message in JSON, or why it failed. */
internal class Chunk(val text: String, val failed: Boolean, val last: Boolean)

/**
 * Where the engine's threads leave their chunks. They only put something into a queue, which never blocks: whatever an app
 * does with the text happens on the thread that asked for it.
 */
internal class ChunkSink {
    private val queue = LinkedBlockingQueue<Chunk>()

    /** Called by the shim, by this name. */
    @Suppress("unused")
    fun onChunk(bytes: ByteArray?, failed: Boolean, last: Boolean) {
        queue.put(Chunk(bytes?.toString(Charsets.UTF_8) ?: "", failed, last))
    }

    fun take(): Chunk = queue.take()

    /** Before a message: what came late of the one before is not part of the answer. */
    fun clear() = queue.clear()
}
