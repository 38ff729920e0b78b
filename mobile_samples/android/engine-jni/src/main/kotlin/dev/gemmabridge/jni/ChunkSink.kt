package dev.gemmabridge.jni

import dev.gemmabridge.core.Chunk
import dev.gemmabridge.core.ChunkQueue

/** What the shim calls on the engine's threads. */
internal class ChunkSink {
    val chunks = ChunkQueue()

    /** Called by the shim, by this name. */
    @Suppress("unused")
    fun onChunk(bytes: ByteArray?, failed: Boolean, last: Boolean) {
        chunks.put(Chunk(bytes?.toString(Charsets.UTF_8) ?: "", failed, last))
    }
}
