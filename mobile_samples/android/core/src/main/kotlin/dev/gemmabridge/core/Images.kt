package dev.gemmabridge.core

/** Width and height in pixels. */
data class Extent(val width: Int, val height: Int) {
    val pixels: Long
        get() = width.toLong() * height
}

/**
 * How large a picture the model looks at, from `feeding.images` of a manifest: `MANIFEST.md`.
 *
 * @property tokens that a picture becomes, at most.
 * @property multiple pixels: each token is a square of this side, and both sides of a picture become a multiple of it.
 * @property cutting how an app cuts a picture; null where the engine does, and is given a file.
 */
data class Images(val tokens: Int, val multiple: Int, val cutting: Cutting? = null) {
    /**
     * The size that a picture gets before the model looks at it, by the rule `largest_within`. Where the engine resizes, an
     * app that gives it less than this gives detail away, and one that gives much more only makes it work.
     */
    fun target(picture: Extent): Extent {
        val factor = Math.sqrt(tokens.toDouble() * multiple * multiple / picture.pixels)
        val width = Math.floor(factor * picture.width / multiple).toInt()
        val height = Math.floor(factor * picture.height / multiple).toInt()
        return when {
            height == 0 -> Extent(long(picture.width, picture.height), multiple)
            width == 0 -> Extent(multiple, long(picture.height, picture.width))
            else -> Extent(width * multiple, height * multiple)
        }
    }

    /**
     * Tokens that a picture becomes which has the size of a [target].
     *
     * @throws RefusedException no picture gets this size.
     */
    fun count(size: Extent): Int {
        val count = (size.width / multiple).toLong() * (size.height / multiple)
        if (size.width % multiple != 0 || size.height % multiple != 0 || count !in 1..tokens.toLong()) {
            throw RefusedException(
                "a picture has ${size.width} x ${size.height} pixels; the model looks at multiples of $multiple that make 1 to $tokens tokens",
            )
        }
        return count.toInt()
    }

    private fun long(long: Int, short: Int) = minOf(long / short, tokens) * multiple

    companion object {
        private const val PNG = "png"
        private const val MOST_TOKENS = 1L shl 16
        private const val MOST_PIXELS = 1L shl 12

        /**
         * Reads `feeding.images`; null where the model takes no pictures.
         *
         * @throws RefusedException the part does not fit, or asks for what this app does not do.
         */
        fun read(feeding: Fields): Images? {
            if (!feeding.has("images")) return null
            val images = feeding.child("images")
            val engine = images.childOrNull("cut_by")
            if (engine != null && PNG !in engine.texts("formats")) {
                throw RefusedException("manifest.feeding.images.cut_by.formats lacks $PNG, which this app writes")
            }
            val resize = images.child("resize")
            val rule = resize.text("rule")
            if (rule != RULE) throw RefusedException("manifest.feeding.images.resize.rule is $rule; this app knows $RULE")
            val tokens = count(images, "tokens", MOST_TOKENS)
            val multiple = count(resize, "multiple", MOST_PIXELS)
            return Images(tokens, multiple, if (engine == null) Cutting.read(images, tokens, multiple) else null)
        }

        private fun count(fields: Fields, key: String, most: Long): Int {
            val value = fields.count(key)
            if (value !in 1..most) throw RefusedException("manifest.feeding.images: $key is $value; 1 to $most are allowed")
            return value.toInt()
        }

        private const val RULE = "largest_within"
    }
}
