package dev.gemmabridge.core

/**
 * A picture as a model's tower takes it, patch by patch, row by row.
 *
 * @property patches `[count, 3 * side * side]`.
 * @property positions `[count, 2]`: of each patch its column and its row.
 */
class Cut(val count: Int, val patches: FloatArray, val positions: LongArray)

/**
 * How an app cuts a picture into patches where the engine does not, from `feeding.images` of a manifest: `MANIFEST.md`,
 * "Cutting an image".
 *
 * @property side of a patch, in pixels.
 * @property scale a byte times this is a number of a patch.
 * @property section the model that makes rows of patches, as in `signatures`.
 * @property patches its input of the patches, [positions] that of their positions, [rows] its output.
 */
data class Cutting(
    val side: Int,
    val scale: Double,
    val around: Around,
    val section: String,
    val patches: String,
    val positions: String,
    val rows: String,
) {
    /** Numbers of a patch. */
    val numbers: Int
        get() = Pixels.CHANNELS * side * side

    /** The patches of a picture whose sides are multiples of [side]. */
    fun cut(picture: Pixels): Cut {
        val (wide, high) = Pair(picture.size.width / side, picture.size.height / side)
        val values = FloatArray(1 shl 8) { (it * scale).toFloat() }
        val patches = FloatArray(wide * high * numbers)
        val positions = LongArray(wide * high * 2)
        var out = 0
        for (patch in 0 until wide * high) {
            val (column, row) = Pair(patch % wide, patch / wide)
            positions[2 * patch] = column.toLong()
            positions[2 * patch + 1] = row.toLong()
            for (y in row * side until (row + 1) * side) {
                val begin = Pixels.CHANNELS * (y * picture.size.width + column * side)
                for (at in begin until begin + Pixels.CHANNELS * side) patches[out++] = values[picture.bytes[at].toInt() and BYTE]
            }
        }
        return Cut(wide * high, patches, positions)
    }

    companion object {
        private const val BYTE = 0xff
        private const val WHERE = "manifest.feeding.images"
        private const val ROWS = "rows"
        private val INPUTS = listOf("patches", "positions")

        /** What is said in single words, each with one meaning: another one would have to be done otherwise. */
        private val WORDS = mapOf(
            "resize" to mapOf("filter" to "bicubic"),
            "pixels" to mapOf(
                "orientation" to "exif_first",
                "alpha" to "over_white",
                "channels" to "rgb",
                "order" to "rows_of_pixels",
            ),
            "patches" to mapOf("order" to "row_by_row", "positions" to "x_y"),
        )

        /**
         * Reads how a picture is cut.
         *
         * @param images the part `feeding.images`.
         * @param tokens that a picture becomes, at most.
         * @param multiple pixels of a token's side.
         * @throws RefusedException the part does not fit, or asks for what this app does not do.
         */
        fun read(images: Fields, tokens: Int, multiple: Int): Cutting {
            for ((part, words) in WORDS) {
                for ((key, known) in words) {
                    val found = images.child(part).text(key)
                    if (found != known) refuse("$part.$key is ${Json.quote(found)}; this app knows $known")
                }
            }
            val pixels = tokens.toLong() * multiple * multiple
            if (pixels > Pixels.MOST_PIXELS) refuse("tokens is $tokens, of $pixels pixels; ${Pixels.MOST_PIXELS} are allowed")
            val patches = images.child("patches")
            if (patches.has("padding")) refuse("patches.padding is not null; this app gives a model a picture's own patches alone")
            val (side, pool) = Pair(patches.count("side"), patches.count("pool"))
            if (side !in 1..multiple || pool !in 1..multiple || side * pool != multiple.toLong()) {
                refuse("resize.multiple is $multiple, and $pool patches of $side pixels make a token's side")
            }
            val scale = images.child("pixels").number("scale")
            if (!(scale > 0 && scale <= 1)) refuse("pixels.scale is $scale")
            val call = call(images.children("lengths"), tokens)
            val (of, at) = INPUTS.map { input(call, it) }
            return Cutting(side.toInt(), scale, around(images.child("around")), call.text("section"), of, at, output(call))
        }

        /** The one call for pictures of any size. */
        private fun call(lengths: List<Fields>, tokens: Int): Fields {
            val calls = lengths.flatMap { it.children("calls") }
            if (lengths.size != 1 || calls.size != 1 || lengths[0].has("patches") || lengths[0].count("tokens") != tokens.toLong()) {
                refuse("lengths has ${lengths.size} lengths and ${calls.size} calls; this app knows one call for $tokens tokens and any patches")
            }
            return calls[0]
        }

        private fun input(call: Fields, source: String): String {
            val inputs = call.children("inputs")
            val found = inputs.filter { it.text("source") == source }
            if (found.size != 1 || inputs.size != INPUTS.size) refuse("lengths has a call with other inputs than ${INPUTS.joinToString()}")
            return found[0].text("name")
        }

        private fun output(call: Fields): String {
            val outputs = call.children("outputs")
            if (outputs.map { it.text("meaning") } != listOf(ROWS)) refuse("lengths has a call with other outputs than $ROWS")
            return outputs[0].text("name")
        }

        private fun around(fields: Fields): Around {
            val (begin, each, end) = listOf("begin", "each", "end").map { Feeding.token(fields.child(it)) }
            if (each == begin || each == end) refuse("around.each is also what stands around it")
            return Around(begin, each, end)
        }

        private fun refuse(what: String): Nothing = throw RefusedException("$WHERE.$what")
    }
}
