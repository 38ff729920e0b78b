package dev.gemmabridge.sample

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Matrix
import android.media.ExifInterface
import dev.gemmabridge.core.Bicubic
import dev.gemmabridge.core.Extent
import dev.gemmabridge.core.Images
import dev.gemmabridge.core.Orientation
import dev.gemmabridge.core.Picture
import dev.gemmabridge.core.PictureException
import dev.gemmabridge.core.PictureFile
import dev.gemmabridge.core.PicturePlan
import dev.gemmabridge.core.PictureTrouble
import dev.gemmabridge.core.PixelRows
import dev.gemmabridge.core.Pixels
import java.io.File
import java.io.IOException
import java.io.InputStream

/**
 * Decodes pictures with what Android has, which is more than an engine reads: also HEIC, WebP and AVIF where the phone
 * knows them. What to decode is decided in `core`, before a pixel is. Where the app cuts pictures for the engine, they get
 * the size that the model looks at here, by the filter that it was trained with: Android has none such.
 */
internal class Photos(private val folder: File) {
    /**
     * @param available bytes of free memory.
     * @throws PictureException it cannot be taken; nothing of it is left.
     */
    fun read(source: InputStream, images: Images, available: Long): Picture {
        val name = System.nanoTime().toString()
        val kind = if (images.cutting == null) "png" else Pixels.SUFFIX
        val (kept, large, small) = listOf("source", kind, "jpg").map { File(folder, "$name.$it") }
        var whole = false
        try {
            PictureFile.keep(source, kept)
            val size = make(kept, large, small, images, available)
            whole = true
            return Picture(large.path, small.path, size)
        } catch (error: OutOfMemoryError) {
            throw PictureException(PictureTrouble.MEMORY, error)
        } catch (error: IOException) {
            throw PictureException(PictureTrouble.SPACE, error)
        } catch (error: RuntimeException) { // of a decoder that met what it did not expect
            throw PictureException(PictureTrouble.UNREADABLE, error)
        } finally {
            kept.delete()
            if (!whole) listOf(large, small).forEach { it.delete() }
        }
    }

    /** Writes both files; returns the size of the picture, upright. */
    private fun make(kept: File, large: File, small: File, images: Images, available: Long): Extent {
        val held = PictureFile.scan(kept)
        val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        BitmapFactory.decodeFile(kept.path, bounds)
        val size = Extent(bounds.outWidth, bounds.outHeight)
        val plan = PicturePlan.of(size, held, images, available)
        val turn = orientation(kept)
        val options = BitmapFactory.Options().apply { inSampleSize = plan.sample }
        var bitmap = BitmapFactory.decodeFile(kept.path, options) ?: throw PictureException(PictureTrouble.UNREADABLE)
        repeat(plan.halvings) { bitmap = scaled(bitmap, bitmap.width / 2, bitmap.height / 2) }
        bitmap = upright(bitmap, turn)
        if (images.cutting == null) {
            write(bitmap, Bitmap.CompressFormat.PNG, large)
        } else {
            Bicubic.resize(BitmapRows(bitmap), images.target(turn.turned(size))).write(large)
        }
        val shrink = minOf(1.0, THUMBNAIL.toDouble() / maxOf(bitmap.width, bitmap.height))
        bitmap = scaled(bitmap, (bitmap.width * shrink).toInt(), (bitmap.height * shrink).toInt())
        write(bitmap, Bitmap.CompressFormat.JPEG, small)
        bitmap.recycle()
        return turn.turned(size)
    }

    /** The decoder leaves a picture as it is stored; what its EXIF data say is done here. */
    private fun orientation(file: File): Orientation = try {
        val upright = ExifInterface.ORIENTATION_NORMAL
        Orientation.of(ExifInterface(file.path).getAttributeInt(ExifInterface.TAG_ORIENTATION, upright))
    } catch (error: IOException) { // a kind without such data
        Orientation.UPRIGHT
    }

    private fun scaled(bitmap: Bitmap, width: Int, height: Int): Bitmap {
        val out = Bitmap.createScaledBitmap(bitmap, maxOf(1, width), maxOf(1, height), true)
        if (out !== bitmap) bitmap.recycle()
        return out
    }

    /** Turned, over white, and in the colours of sRGB, which the engine takes every picture for. */
    private fun upright(bitmap: Bitmap, turn: Orientation): Bitmap {
        val stored = Extent(bitmap.width, bitmap.height)
        val size = turn.turned(stored)
        val out = Bitmap.createBitmap(size.width, size.height, Bitmap.Config.ARGB_8888)
        val canvas = Canvas(out)
        canvas.drawColor(Color.WHITE)
        canvas.drawBitmap(bitmap, Matrix().apply { setValues(turn.matrix(stored)) }, null)
        out.setHasAlpha(false)
        bitmap.recycle()
        return out
    }

    private fun write(bitmap: Bitmap, format: Bitmap.CompressFormat, file: File) {
        val whole = file.outputStream().use { bitmap.compress(format, QUALITY, it) }
        if (!whole) throw IOException("${file.name} cannot be written")
    }

    private class BitmapRows(private val bitmap: Bitmap) : PixelRows {
        override val size = Extent(bitmap.width, bitmap.height)
        private val row = IntArray(size.width)

        override fun read(y: Int, into: ByteArray) {
            bitmap.getPixels(row, 0, size.width, 0, y, size.width, 1)
            Pixels.split(row, into)
        }
    }

    private companion object {
        /** Pixels of a thumbnail's longer side. */
        const val THUMBNAIL = 640

        /** Of a thumbnail; PNG loses nothing. */
        const val QUALITY = 85
    }
}
