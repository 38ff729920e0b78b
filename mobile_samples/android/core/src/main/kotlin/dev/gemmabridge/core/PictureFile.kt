package dev.gemmabridge.core

import java.io.EOFException
import java.io.File
import java.io.IOException
import java.io.InputStream

/**
 * Looks at a picture's file before a decoder does: whether it is of a kind that is known, and whether all of it is there.
 * Android's decoder fills what is missing with grey and says nothing.
 */
object PictureFile {
    /** More than pictures of the largest cameras have. */
    const val MOST_BYTES = 1L shl 27

    /**
     * Copies a picture into a file of the app's own: a decoder reads it more than once.
     *
     * @throws PictureException [PictureTrouble.GONE], [PictureTrouble.TOO_LARGE], [PictureTrouble.SPACE], or
     *     [PictureTrouble.UNREADABLE] where there is not a byte.
     */
    fun keep(source: InputStream, to: File) {
        val block = ByteArray(BLOCK)
        var bytes = 0L
        try {
            to.outputStream().use { out ->
                while (true) {
                    val count = read(source, block)
                    if (count < 0) break
                    bytes += count
                    if (bytes > MOST_BYTES) throw PictureException(PictureTrouble.TOO_LARGE)
                    out.write(block, 0, count)
                }
            }
        } catch (error: IOException) {
            throw PictureException(PictureTrouble.SPACE, error)
        }
        if (bytes == 0L) throw PictureException(PictureTrouble.UNREADABLE)
    }

    private fun read(source: InputStream, block: ByteArray): Int = try {
        source.read(block)
    } catch (error: Exception) { // whoever offers the picture is another app: it may fail with anything
        throw PictureException(PictureTrouble.GONE, error)
    }

    /**
     * Reads a file to the end of its picture.
     *
     * @return whether a decoder holds all of the picture at once, as of a progressive JPEG, an interlaced PNG, HEIC and WebP.
     * @throws PictureException [PictureTrouble.CUT_OFF], or [PictureTrouble.UNREADABLE] where the kind is not known.
     */
    fun scan(file: File): Boolean = try {
        file.inputStream().use { PictureScan(PictureBytes(it), file.length()).run() }
    } catch (error: EOFException) {
        throw PictureException(PictureTrouble.CUT_OFF, error)
    }

    private const val BLOCK = 1 shl 16
}
