package dev.gemmabridge.ort

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import dev.gemmabridge.core.Cut
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.RefusedException
import java.io.File
import java.nio.FloatBuffer
import java.nio.LongBuffer

/**
 * The graph that makes rows of a picture, loaded when the first one comes: conversations without any pay nothing for it.
 *
 * One picture at a time; [close] by nobody else meanwhile.
 *
 * @param options stay as long as this does.
 */
internal class Tower(
    private val environment: OrtEnvironment,
    private val options: OrtSession.SessionOptions,
    private val manifest: Manifest,
    private val folder: File,
    private val sight: Sight,
) : AutoCloseable {
    private var session: OrtSession? = null

    /**
     * Rows of a picture, `[count, width]`, in the place of one token each.
     *
     * @param count of the rows that there have to be.
     * @throws RefusedException the graph is another than the manifest says.
     * @throws ai.onnxruntime.OrtException it does not load, or does not run.
     */
    @Synchronized
    fun rows(cut: Cut, count: Int): FloatArray {
        val loaded = session ?: open().also { session = it }
        val numbers = sight.cutting.numbers.toLong()
        val given = ArrayList<OnnxTensor>()
        try {
            val (many, patches) = Pair(cut.count.toLong(), FloatBuffer.wrap(cut.patches))
            given.add(OnnxTensor.createTensor(environment, patches, longArrayOf(1, many, numbers)))
            given.add(OnnxTensor.createTensor(environment, LongBuffer.wrap(cut.positions), longArrayOf(1, many, 2)))
            val inputs = mapOf(sight.cutting.patches to given[0], sight.cutting.positions to given[1])
            loaded.run(inputs).use { made ->
                val rows = (made.get(sight.cutting.rows).get() as OnnxTensor).floatBuffer
                val expected = count.toLong() * sight.width
                if (rows.remaining().toLong() != expected) {
                    throw RefusedException("${sight.file} gives ${rows.remaining()} numbers for a picture of $count tokens, not $expected")
                }
                return FloatArray(rows.remaining()).also { rows.get(it) }
            }
        } finally {
            for (tensor in given) tensor.close()
        }
    }

    private fun open(): OrtSession {
        val opened = environment.createSession(File(folder, sight.file).path, options)
        try {
            Agreement.check(opened, sight.tower, manifest)
            val tokens = opened.metadata.customMetadata[TOKENS]
            if (tokens != "${sight.images.tokens}") {
                throw RefusedException("${sight.file} makes $tokens rows, manifest.feeding.images.tokens is ${sight.images.tokens}")
            }
            return opened
        } catch (error: Exception) {
            opened.close()
            throw error
        }
    }

    @Synchronized
    override fun close() {
        session?.close()
        session = null
    }

    private companion object {
        /** What the converter writes into the graph of the rows that a picture becomes, at most. */
        const val TOKENS = "gemma_bridge.image_tokens"
    }
}
