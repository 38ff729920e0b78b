package dev.gemmabridge.sample

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import java.io.FileInputStream
import java.io.InputStream

/**
 * Where a camera app puts the photo it was asked for: one file, to which it alone is given access. So this app needs no
 * permission, and nothing of it comes into the gallery.
 */
class Shots : ContentProvider() {
    override fun onCreate(): Boolean = true

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor? {
        val here = context ?: return null
        return ParcelFileDescriptor.open(file(here), ParcelFileDescriptor.parseMode(mode))
    }

    override fun getType(uri: Uri): String = "image/jpeg"

    override fun query(uri: Uri, columns: Array<String>?, where: String?, values: Array<String>?, order: String?): Cursor {
        val found = MatrixCursor(arrayOf(OpenableColumns.DISPLAY_NAME, OpenableColumns.SIZE))
        context?.let { found.addRow(arrayOf<Any>(NAME, file(it).length())) }
        return found
    }

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun delete(uri: Uri, where: String?, values: Array<String>?): Int = 0

    override fun update(uri: Uri, values: ContentValues?, where: String?, which: Array<String>?): Int = 0

    companion object {
        private const val NAME = "photo.jpg"

        val URI: Uri = Uri.parse("content://dev.gemmabridge.sample.shots/$NAME")

        private fun file(context: Context) = File(context.cacheDir, NAME)

        /** The photo that was taken; it is gone when the stream was closed. */
        fun open(context: Context): InputStream {
            val photo = file(context)
            return object : FileInputStream(photo) {
                override fun close() {
                    super.close()
                    photo.delete()
                }
            }
        }
    }
}
