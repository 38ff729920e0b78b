package dev.gemmabridge.core

import java.io.DataInputStream
import java.io.EOFException
import java.io.File
import java.io.IOException
import java.io.InputStream

/** A picture that is read a row of pixels at a time, so that it need not be in memory twice. */
interface PixelRows {
    val size: Extent

    /** Writes row [y] from the top into [into]: red, green and blue of each pixel, `3 * width` bytes. */
    fun read(y: Int, into: ByteArray)
}

/**
 * A picture in memory.
 *
 * @property bytes row by row from the top left, red, green and blue of each pixel: `3 * width * height`.
 */
class Pixels(override val size: Extent, val bytes: ByteArray) : PixelRows {
    init {
        require(bytes.size.toLong() == CHANNELS * size.pixels) { "${bytes.size} bytes for $size" }
    }

    override fun read(y: Int, into: ByteArray) {
        val row = CHANNELS * size.width
        System.arraycopy(bytes, y * row, into, 0, row)
    }

    /**
     * Writes a file that [read] reads.
     *
     * @throws IOException it cannot be written.
     */
    fun write(file: File) = file.outputStream().buffered().use {
        it.write("$KIND\n${size.width} ${size.height}\n$LARGEST\n".toByteArray(Charsets.US_ASCII))
        it.write(bytes)
    }

    companion object {
        const val CHANNELS = 3

        /** How the name of such a file ends. */
        const val SUFFIX = "ppm"
        private const val KIND = "P6"
        private const val LARGEST = "255"
        private const val DIGITS = 9

        /** More than any model looks at. */
        const val MOST_PIXELS = 1L shl 26

        /** Takes the colours apart of pixels that hold red, green and blue in the lowest three bytes, as Android and Java do. */
        fun split(pixels: IntArray, into: ByteArray) {
            for ((x, pixel) in pixels.withIndex()) {
                into[CHANNELS * x] = (pixel shr 16).toByte()
                into[CHANNELS * x + 1] = (pixel shr 8).toByte()
                into[CHANNELS * x + 2] = pixel.toByte()
            }
        }

        /**
         * Reads a file of Netpbm's kind `P6` with a byte for each colour, as [write] writes it.
         *
         * @throws RefusedException it is no such file, larger than any that a model looks at, or not all of it is there.
         */
        fun read(file: File): Pixels = try {
            file.inputStream().buffered().use { read(it, file) }
        } catch (error: EOFException) {
            throw RefusedException("${file.name} ends before its picture does", error)
        } catch (error: IOException) {
            throw RefusedException("${file.name} cannot be read: ${error.message}", error)
        }

        private fun read(source: InputStream, file: File): Pixels {
            val kind = word(source)
            if (kind != KIND) throw RefusedException("${file.name} holds no pixels: it begins with ${Json.quote(kind)}, not $KIND")
            val (width, height, largest) = List(3) { word(source) }
            val size = Extent(side(width, file), side(height, file))
            if (largest != LARGEST || size.pixels > MOST_PIXELS) {
                throw RefusedException("${file.name} says $width x $height pixels of 0 to $largest: it is none of this app's")
            }
            if (CHANNELS * size.pixels > file.length()) throw EOFException()
            val bytes = ByteArray(CHANNELS * size.pixels.toInt())
            DataInputStream(source).readFully(bytes)
            if (source.read() >= 0) throw RefusedException("${file.name} goes on behind its picture")
            return Pixels(size, bytes)
        }

        private fun side(text: String, file: File): Int =
            text.toIntOrNull()?.takeIf { it > 0 } ?: throw RefusedException("${file.name} has a side of ${Json.quote(text)} pixels")

        /** What stands before the next blank or line end. */
        private fun word(source: InputStream): String {
            val out = StringBuilder()
            while (out.length <= DIGITS) {
                val byte = source.read()
                if (byte < 0) throw EOFException()
                if (byte == ' '.code || byte == '\n'.code) break
                out.append(byte.toChar())
            }
            return out.toString()
        }
    }
}
