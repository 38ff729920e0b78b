package dev.gemmabridge.ort

import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Signature
import dev.gemmabridge.core.TensorSpec
import java.nio.Buffer
import java.nio.FloatBuffer

/** One tensor of the KV cache: where it goes in, and where it comes out, with the rows that later tokens look at. */
internal class Kept(val input: String, val output: String, val heads: Int, val width: Int) {
    /** The rows of the first [count] tokens: of each head's, `[heads, tokens, width]`, the first ones. */
    fun begin(all: FloatBuffer, count: Int): FloatArray {
        val length = all.remaining() / (heads * width)
        val values = FloatArray(heads * count * width)
        for (head in 0 until heads) {
            (all as Buffer).position(head * length * width)
            all.get(values, head * count * width, count * width)
        }
        return values
    }
}

/**
 * Which tensor goes where, by the manifest's `signatures`: ids to the embedding, its rows to the decoder, the decoder's
 * keys and values back to it.
 *
 * @property rows outputs of the embedding that the decoder takes by the same names.
 */
internal class Wiring private constructor(val embedding: Signature, val decoder: Signature, val rows: List<String>, val kept: List<Kept>) {
    companion object {
        const val IDS = "input_ids"
        const val MASK = "attention_mask"
        const val POSITIONS = "position_ids"
        const val LOGITS = "logits"
        private const val PAST = "past_key_values."
        private const val PRESENT = "present."
        private const val FLOAT_BYTES = 4L

        /** @throws RefusedException the signatures are others than this app feeds, or not those of the cache. */
        fun of(manifest: Manifest): Wiring {
            val section = manifest.model.name.removeSuffix(".onnx")
            val (decoders, others) = manifest.signatures.partition { it.section == section }
            val decoder = decoders.singleOrNull() ?: refuse("has ${decoders.size} entries of $section")
            val embedding = others.singleOrNull() ?: refuse("has ${others.size} entries besides $section; this app knows one embedding")
            if (embedding.inputs != listOf(TensorSpec(IDS, "int64", listOf(1, 0)))) refuse("gives the embedding other inputs than $IDS")
            val rows = embedding.outputs.map { it.name }
            for (row in embedding.outputs) if (row !in decoder.inputs) refuse("has no input of the decoder that is the embedding's ${row.name}")
            val kept = decoder.inputs.filter { it.name.startsWith(PAST) }.map { kept(it, decoder) }
            val known = rows + listOf(MASK, POSITIONS) + kept.map { it.input }
            val names = decoder.inputs.map { it.name }
            if (names.toSet() != known.toSet() || names.size != known.size) refuse("gives the decoder the inputs $names; this app knows $known")
            val outputs = decoder.outputs.map { it.name }
            if (outputs.toSet() != (kept.map { it.output } + LOGITS).toSet()) refuse("gives the decoder the outputs $outputs")
            check(manifest, kept)
            return Wiring(embedding, decoder, rows, kept)
        }

        private fun kept(input: TensorSpec, decoder: Signature): Kept {
            val name = PRESENT + input.name.removePrefix(PAST)
            val output = decoder.outputs.firstOrNull { it.name == name }
            val shape = input.shape
            val right = input.dtype == "float32" && shape.size == 4 && shape[0] == 1L && shape[1] > 0 && shape[2] == 0L && shape[3] > 0
            if (!right || output != input.copy(name = name)) refuse("has no output $name for ${input.name} ${input.shape}")
            return Kept(input.name, name, shape[1].toInt(), shape[3].toInt())
        }

        private fun check(manifest: Manifest, kept: List<Kept>) {
            val cache = manifest.cache
            // Which layers slide is not said here: all of them, or none.
            val row = kept.sumOf { it.heads.toLong() * it.width * FLOAT_BYTES }
            val (least, most) = Pair(row * (cache.ring ?: manifest.contextTokens.toLong()), row * manifest.contextTokens)
            if (cache.dtype != "float32" || kept.size != 2 * cache.owners.size || cache.bytes !in least..most) {
                throw RefusedException(
                    "manifest.kv_cache says ${cache.bytes} bytes of ${cache.dtype} in ${cache.owners.size} layers; " +
                        "the signatures make $least to $most of float32 in ${kept.size / 2}",
                )
            }
        }

        private fun refuse(what: String): Nothing = throw RefusedException("manifest.signatures $what")
    }
}
