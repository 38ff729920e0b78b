package dev.gemmabridge.core

/**
 * How a picture of a known size is decoded, before a pixel of it is: so that a file of a few kilobytes that says it is
 * huge costs nothing.
 *
 * @property sample the decoder keeps one of so many pixels in each direction: a power of two.
 * @property halvings then both sides are halved so often, each pixel the mean of four. None where an app cuts pictures: the
 *     filter that the model was trained with makes them small.
 */
data class PicturePlan(val sample: Int, val halvings: Int) {
    companion object {
        /** Pixels of a file: those of the largest cameras of phones (200 million) and some more. */
        const val MOST_PIXELS = 1L shl 28

        /** Pixels that are decoded at once. */
        const val MOST_DECODED = 1L shl 24
        private const val BYTES = 4L

        /** Of each pixel of a file that is decoded as a whole: two bytes of three colours, as of a progressive JPEG. */
        private const val WHOLE_BYTES = 6L

        /** Of each pixel of a side, where the app resizes: four weights of four bytes, and a few rows of three colours. */
        private const val SIDE_BYTES = 64L

        /**
         * The plan for a picture of [size]: what comes is no smaller than what the model looks at, unless the picture is,
         * and a half of it would be.
         *
         * @param whole whether the decoder holds all of the picture at once, whatever it is asked for.
         * @param available bytes of memory that are free without closing other apps.
         * @throws PictureException [PictureTrouble.TOO_LARGE], [PictureTrouble.MEMORY], [PictureTrouble.UNREADABLE] where
         *     a side is not positive.
         */
        fun of(size: Extent, whole: Boolean, images: Images, available: Long): PicturePlan {
            if (size.width < 1 || size.height < 1) throw PictureException(PictureTrouble.UNREADABLE)
            if (size.pixels > MOST_PIXELS) throw PictureException(PictureTrouble.TOO_LARGE)
            val target = images.target(size)
            var sample = 1
            while (size.pixels / (sample.toLong() * sample) > MOST_DECODED) sample *= 2
            var halvings = 0
            while (images.cutting == null && covers(size, sample.toLong() shl (halvings + 1), target)) halvings++
            val decoded = size.pixels / (sample.toLong() * sample)
            // What was decoded, and beside it a half of it, or as much where it is turned.
            val resizing = if (images.cutting == null) 0 else (size.width.toLong() + size.height) / sample * SIDE_BYTES
            val need = (if (whole) size.pixels * WHOLE_BYTES else 0) + decoded * BYTES * 2 + resizing
            if (need > available) throw PictureException(PictureTrouble.MEMORY)
            return PicturePlan(sample, halvings)
        }

        private fun covers(size: Extent, divisor: Long, target: Extent): Boolean =
            size.width / divisor >= target.width && size.height / divisor >= target.height
    }
}
