package dev.gemmabridge.core

/**
 * What an EXIF orientation asks for (Exif 2.32, tag 0x0112): the stored picture is mirrored left to right, then turned
 * clockwise.
 *
 * @property exif the tag's value.
 * @property degrees 0, 90, 180 or 270.
 */
enum class Orientation(val exif: Int, val mirrored: Boolean, val degrees: Int) {
    UPRIGHT(1, false, 0),
    MIRRORED(2, true, 0),
    HALF(3, false, 180),
    MIRRORED_HALF(4, true, 180),
    MIRRORED_LEFT(5, true, 270),
    RIGHT(6, false, 90),
    MIRRORED_RIGHT(7, true, 90),
    LEFT(8, false, 270), ;

    /** The size of a picture after it was turned. */
    fun turned(size: Extent): Extent = if (degrees % 180 == 0) size else Extent(size.height, size.width)

    /**
     * Where points of a stored picture of [size] belong, as the 3 x 3 matrix `android.graphics.Matrix.setValues` takes, row
     * by row: the corners of the picture go to those of [turned].
     */
    fun matrix(size: Extent): FloatArray {
        val side = if (mirrored) -1f else 1f
        val (w, h) = Pair(size.width.toFloat(), size.height.toFloat())
        // x of the picture before it is turned is side * x + begin.
        val begin = if (mirrored) w else 0f
        return when (degrees) {
            90 -> floatArrayOf(0f, -1f, h, side, 0f, begin, 0f, 0f, 1f)
            180 -> floatArrayOf(-side, 0f, w - begin, 0f, -1f, h, 0f, 0f, 1f)
            270 -> floatArrayOf(0f, 1f, 0f, -side, 0f, w - begin, 0f, 0f, 1f)
            else -> floatArrayOf(side, 0f, begin, 0f, 1f, 0f, 0f, 0f, 1f)
        }
    }

    companion object {
        /** By the tag's value; what is no orientation changes nothing. */
        fun of(exif: Int): Orientation = values().firstOrNull { it.exif == exif } ?: UPRIGHT
    }
}
