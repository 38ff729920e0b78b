package dev.gemmabridge.ort

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import dev.gemmabridge.core.Cut
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.RefusedException
import java.io.File
import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.LongBuffer

/**
 * Keys and values of the tokens so far, by the decoder's names for them as inputs. They live where the runtime made
 * them until [close]: nothing is copied from one call to the next.
 */
internal class Past(val tensors: Map<String, OnnxTensor>, private val owner: () -> Unit) : AutoCloseable {
    override fun close() = owner()
}

/** What a call gave: the logits of the next token, `[vocabulary]`, and the past with it. */
internal class Called(val logits: FloatArray, val past: Past)

/**
 * The two graphs of a bundle, loaded, and a third where the model takes pictures, which is loaded when one comes. May be
 * called by several threads at a time; [close] by nobody else meanwhile.
 *
 * ONNX Runtime knows no phone's GPU or NPU for these products: the CPU is what was judged, and what runs.
 */
internal class Graphs private constructor(
    private val environment: OrtEnvironment,
    private val options: OrtSession.SessionOptions,
    private val embedding: OrtSession,
    private val decoder: OrtSession,
    private val wiring: Wiring,
    private val tower: Tower?,
) : AutoCloseable {
    /** How pictures are read; null where the model takes none. */
    val sight: Sight?
        get() = wiring.sight

    /** Numbers of a picture's row; 0 where the model takes none. */
    val width: Int = wiring.sight?.width ?: 0

    /** The token in whose place a picture's row stands; -1 where the model takes none. */
    val each: Int = wiring.sight?.cutting?.around?.each?.id ?: -1

    /** Rows of a picture, `[tokens, width]`; only where the model takes pictures. */
    fun see(picture: Cut, tokens: Int): FloatArray = tower!!.rows(picture, tokens)

    /** No tokens yet. */
    fun nothing(): Past = past(wiring.kept.map { floats(it, 0, FloatArray(0)) })

    /** Whether a past has the rows of all of its [count] tokens: where one was longer than a window, it has not. */
    fun whole(of: Past, count: Int): Boolean = of.tensors.values.all { it.info.getShape()[2] == count.toLong() }

    /** The first [count] tokens of a past that is whole, copied. */
    fun begin(of: Past, count: Int): Past = past(
        wiring.kept.map { kept ->
            floats(kept, count, kept.begin(of.tensors.getValue(kept.input).floatBuffer, count))
        },
    )

    /**
     * Feeds tokens.
     *
     * @param first position of the first of them: so many tokens are in the past.
     * @param past stays as it is; whoever gave it closes it.
     * @param rows of pictures, one for each token in whose place one stands.
     */
    fun call(ids: IntArray, first: Int, past: Past, rows: FloatArray): Called {
        val given = ArrayList<OnnxTensor>()
        val longs = { shape: Int, value: (Int) -> Long ->
            val buffer = LongBuffer.wrap(LongArray(shape, value))
            OnnxTensor.createTensor(environment, buffer, longArrayOf(1, shape.toLong())).also { given.add(it) }
        }
        try {
            val asked = HashMap<String, OnnxTensor>()
            asked[Wiring.IDS] = longs(ids.size) { ids[it].toLong() }
            if (width > 0) asked[Wiring.IMAGES] = floats(rows, rows.size / width, width).also { given.add(it) }
            embedding.run(asked).use { embedded ->
                val inputs = HashMap<String, OnnxTensor>(past.tensors)
                for (name in wiring.rows) inputs[name] = tensor(embedded, name)
                inputs[Wiring.MASK] = longs(first + ids.size) { 1 }
                inputs[Wiring.POSITIONS] = longs(ids.size) { (first + it).toLong() }
                return called(decoder.run(inputs))
            }
        } finally {
            for (tensor in given) tensor.close()
        }
    }

    private fun called(result: OrtSession.Result): Called {
        var taken = false
        try {
            val buffer = tensor(result, Wiring.LOGITS).floatBuffer
            val logits = FloatArray(buffer.remaining()).also { buffer.get(it) }
            val tensors = wiring.kept.associate { Pair(it.input, tensor(result, it.output)) }
            taken = true
            return Called(logits, Past(tensors) { result.close() })
        } finally {
            if (!taken) result.close()
        }
    }

    private fun tensor(of: OrtSession.Result, name: String): OnnxTensor = of.get(name).get() as OnnxTensor

    private fun floats(kept: Kept, count: Int, values: FloatArray) = floats(values, 1, kept.heads, count, kept.width)

    private fun floats(values: FloatArray, vararg shape: Int): OnnxTensor {
        // A buffer of the system's memory: what is none would be copied into one.
        val buffer = ByteBuffer.allocateDirect(4 * values.size).order(ByteOrder.nativeOrder()).asFloatBuffer()
        buffer.put(values)
        (buffer as Buffer).rewind() // as an older Java knows it
        return OnnxTensor.createTensor(environment, buffer, LongArray(shape.size) { shape[it].toLong() })
    }

    private fun past(tensors: List<OnnxTensor>): Past =
        Past(wiring.kept.mapIndexed { i, kept -> Pair(kept.input, tensors[i]) }.toMap()) { for (tensor in tensors) tensor.close() }

    override fun close() {
        tower?.close()
        decoder.close()
        embedding.close()
        options.close()
    }

    companion object {
        /**
         * Loads the graphs, whose files were checked.
         *
         * @param threads of the processor; 0 takes one for each core.
         * @throws RefusedException a graph is another than the manifest says.
         * @throws ai.onnxruntime.OrtException a graph does not load.
         */
        fun open(manifest: Manifest, folder: File, threads: Int): Graphs {
            val wiring = Wiring.of(manifest)
            val environment = OrtEnvironment.getEnvironment()
            val opened = ArrayList<AutoCloseable>()
            try {
                val options = OrtSession.SessionOptions().also { opened.add(it) }
                options.setIntraOpNumThreads(threads)
                val (embedding, decoder) = listOf(wiring.embedding, wiring.decoder).map { signature ->
                    val path = File(folder, signature.section + Wiring.GRAPH).path
                    environment.createSession(path, options).also { opened.add(it) }.also { Agreement.check(it, signature, manifest) }
                }
                val tower = wiring.sight?.let { Tower(environment, options, manifest, folder, it) }
                return Graphs(environment, options, embedding, decoder, wiring, tower)
            } catch (error: Exception) {
                for (one in opened.reversed()) one.close()
                throw error
            }
        }
    }
}
