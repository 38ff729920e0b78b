package dev.gemmabridge.core

/**
 * Makes a picture larger or smaller with the pixels that Pillow 13's `Image.resize` gives with `BICUBIC`: Keys' cubic with
 * a = -0.5, as much wider as the picture is made smaller.
 *
 * Of each row first and then of each column, or the other way round where the height loses more than twice the pixels
 * that the width does; earlier versions of Pillow begin with the rows there too, which differs by a step in some pixels.
 * Both times a pixel is a sum of bytes times weights in whole numbers, 22 bits of them behind the point, and rounded to a
 * byte. Source of weights and sums: Pillow, `src/libImaging/Resample.c`; the order was measured.
 */
object Bicubic {
    private const val BITS = 22
    private const val HALF = 1 shl (BITS - 1)
    private const val REACH = 2.0
    private const val A = -0.5
    private const val BYTE = 0xff

    /** What makes one pixel of a side: those of the picture from [first] on, each times its weight. */
    private class Window(val first: Int, val weights: IntArray)

    /** The picture with the sides [to]; one that has them already is copied. Few of its rows are held at a time. */
    fun resize(picture: PixelRows, to: Extent): Pixels {
        val from = picture.size
        val columns = windows(from.width, to.width)
        val rows = windows(from.height, to.height)
        val downFirst = from.height > to.height && from.height - to.height > 2 * (from.width - to.width)
        val width = Pixels.CHANNELS * if (downFirst) from.width else to.width
        val held = Array(rows.maxOf { it.weights.size }) { ByteArray(width) }
        val source = ByteArray(Pixels.CHANNELS * from.width)
        val (sums, summed) = Pair(IntArray(width), ByteArray(width))
        val out = ByteArray(Pixels.CHANNELS * to.width * to.height)
        var read = 0
        for ((y, window) in rows.withIndex()) {
            while (read < window.first + window.weights.size) {
                val row = held[read % held.size]
                if (downFirst) picture.read(read, row) else picture.read(read, source).also { across(source, columns, row, 0) }
                read++
            }
            down(held, window, sums, summed)
            val begin = y * Pixels.CHANNELS * to.width
            if (downFirst) across(summed, columns, out, begin) else System.arraycopy(summed, 0, out, begin, width)
        }
        return Pixels(to, out)
    }

    /** One row of those of a window. Of a picture's rows [held] has the last ones, each in the place of its number modulo their count. */
    private fun down(held: Array<ByteArray>, window: Window, sums: IntArray, into: ByteArray) {
        sums.fill(HALF)
        for ((k, weight) in window.weights.withIndex()) {
            val row = held[(window.first + k) % held.size]
            for (i in sums.indices) sums[i] += (row[i].toInt() and BYTE) * weight
        }
        for (i in sums.indices) into[i] = byte(sums[i])
    }

    private fun across(source: ByteArray, columns: List<Window>, into: ByteArray, begin: Int) {
        var out = begin
        for (window in columns) {
            var at = Pixels.CHANNELS * window.first
            var red = HALF
            var green = HALF
            var blue = HALF
            for (weight in window.weights) {
                red += (source[at++].toInt() and BYTE) * weight
                green += (source[at++].toInt() and BYTE) * weight
                blue += (source[at++].toInt() and BYTE) * weight
            }
            into[out++] = byte(red)
            into[out++] = byte(green)
            into[out++] = byte(blue)
        }
    }

    private fun byte(sum: Int): Byte = (sum shr BITS).coerceIn(0, BYTE).toByte()

    private fun windows(from: Int, to: Int): List<Window> {
        val scale = from.toDouble() / to
        val wide = maxOf(scale, 1.0)
        return List(to) { at ->
            val center = (at + 0.5) * scale
            val first = maxOf(0, (center - REACH * wide + 0.5).toInt())
            val end = minOf(from, (center + REACH * wide + 0.5).toInt())
            val values = DoubleArray(end - first) { cubic((it + first - center + 0.5) * (1.0 / wide)) }
            var sum = 0.0
            for (value in values) sum += value
            Window(first, IntArray(values.size) { fixed(values[it] / sum) })
        }
    }

    private fun fixed(value: Double): Int = (value * (1 shl BITS) + if (value < 0) -0.5 else 0.5).toInt()

    private fun cubic(distance: Double): Double {
        val x = Math.abs(distance)
        return when {
            x < 1 -> ((A + 2) * x - (A + 3)) * x * x + 1
            x < REACH -> (((x - 5) * x + 8) * x - 4) * A
            else -> 0.0
        }
    }
}
