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
 */
data class Images(val tokens: Int, val multiple: Int) {
    /**
     * The size that a picture gets before the model looks at it, by the rule `largest_within`. The engine resizes; an app
     * that gives it less than this gives detail away, and one that gives much more only makes it work.
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
            if (!images.has("cut_by")) {
                throw RefusedException("manifest.feeding.images.cut_by is null: this app leaves the cutting to its engine")
            }
            val formats = images.child("cut_by").texts("formats")
            if (PNG !in formats) {
                throw RefusedException("manifest.feeding.images.cut_by.formats lacks $PNG, which this app writes")
            }
            val resize = images.child("resize")
            val rule = resize.text("rule")
            if (rule != RULE) throw RefusedException("manifest.feeding.images.resize.rule is $rule; this app knows $RULE")
            return Images(
                count(images, "tokens", MOST_TOKENS),
                count(resize, "multiple", MOST_PIXELS),
            )
        }

        private fun count(fields: Fields, key: String, most: Long): Int {
            val value = fields.count(key)
            if (value !in 1..most) throw RefusedException("manifest.feeding.images: $key is $value; 1 to $most are allowed")
            return value.toInt()
        }

        private const val RULE = "largest_within"
    }
}
