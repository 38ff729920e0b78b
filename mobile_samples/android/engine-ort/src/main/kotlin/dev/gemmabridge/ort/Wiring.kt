package dev.gemmabridge.ort

import dev.gemmabridge.core.Cutting
import dev.gemmabridge.core.Images
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
 * Where pictures go: through a tower, whose rows the embedding puts in the places of their tokens.
 *
 * @property given the embedding's input of the rows, `[0, width]`.
 */
internal class Sight(val images: Images, val tower: Signature, val cutting: Cutting, val given: TensorSpec) {
    /** Numbers of a row. */
    val width = given.shape[1].toInt()

    val file: String
        get() = tower.section + Wiring.GRAPH
}

/**
 * Which tensor goes where, by the manifest's `signatures`: ids to the embedding, its rows to the decoder, the decoder's
 * keys and values back to it.
 *
 * @property rows outputs of the embedding that the decoder takes by the same names.
 * @property sight null where the model takes no pictures.
 */
internal class Wiring private constructor(
    val embedding: Signature,
    val decoder: Signature,
    val rows: List<String>,
    val kept: List<Kept>,
    val sight: Sight?,
) {
    companion object {
        const val GRAPH = ".onnx"
        const val IDS = "input_ids"
        const val IMAGES = "image_features"
        const val MASK = "attention_mask"
        const val POSITIONS = "position_ids"
        const val LOGITS = "logits"
        private val TOKENS = TensorSpec(IDS, "int64", listOf(1, 0))
        private const val PAST = "past_key_values."
        private const val PRESENT = "present."
        private const val FLOAT_BYTES = 4L

        /** @throws RefusedException the signatures are others than this app feeds, or not those of the cache. */
        fun of(manifest: Manifest): Wiring {
            val section = manifest.model.name.removeSuffix(GRAPH)
            val seeing = manifest.feeding.images?.cutting?.section
            val (towers, rest) = manifest.signatures.partition { it.section == seeing }
            val (decoders, others) = rest.partition { it.section == section }
            val decoder = decoders.singleOrNull() ?: refuse("has ${decoders.size} entries of $section")
            val embedding = others.singleOrNull()
                ?: refuse("has ${others.size} entries besides ${listOfNotNull(section, seeing).joinToString()}; this app knows one embedding")
            val rows = embedding.outputs.map { it.name }
            for (row in embedding.outputs) if (row !in decoder.inputs) refuse("has no input of the decoder that is the embedding's ${row.name}")
            val kept = decoder.inputs.filter { it.name.startsWith(PAST) }.map { kept(it, decoder) }
            val known = rows + listOf(MASK, POSITIONS) + kept.map { it.input }
            val names = decoder.inputs.map { it.name }
            if (names.toSet() != known.toSet() || names.size != known.size) refuse("gives the decoder the inputs $names; this app knows $known")
            val outputs = decoder.outputs.map { it.name }
            if (outputs.toSet() != (kept.map { it.output } + LOGITS).toSet()) refuse("gives the decoder the outputs $outputs")
            check(manifest, kept)
            val sight = manifest.feeding.images?.let { sight(it, towers, embedding) }
            val given = if (sight == null) setOf(TOKENS) else setOf(TOKENS, sight.given)
            if (embedding.inputs.toSet() != given || embedding.inputs.size != given.size) {
                refuse("gives the embedding other inputs than ${given.joinToString { it.name }}")
            }
            return Wiring(embedding, decoder, rows, kept, sight)
        }

        private fun sight(images: Images, towers: List<Signature>, embedding: Signature): Sight {
            val cutting = images.cutting ?: throw RefusedException("manifest.feeding.images.cut_by is not null; this engine cuts no pictures")
            val tower = towers.singleOrNull() ?: refuse("has ${towers.size} entries of ${cutting.section}, which reads pictures")
            val taken = embedding.inputs.firstOrNull { it.name == IMAGES }
            if (taken == null || taken.dtype != "float32" || taken.shape.size != 2 || taken.shape[0] != 0L || taken.shape[1] <= 0) {
                refuse("gives the embedding no rows of pictures, $IMAGES")
            }
            val inputs = setOf(
                TensorSpec(cutting.patches, "float32", listOf(1, 0, cutting.numbers.toLong())),
                TensorSpec(cutting.positions, "int64", listOf(1, 0, 2)),
            )
            if (tower.inputs.toSet() != inputs) refuse("gives ${cutting.section} other inputs than patches and their positions")
            if (tower.outputs != listOf(taken.copy(name = cutting.rows))) refuse("gives ${cutting.section} other outputs than rows of ${taken.shape[1]}")
            return Sight(images, tower, cutting, taken)
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
