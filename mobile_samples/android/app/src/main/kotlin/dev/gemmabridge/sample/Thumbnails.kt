package dev.gemmabridge.sample

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.util.LruCache
import dev.gemmabridge.core.Picture

/** The pictures that are to be seen: a list asks for them again at every piece of an answer. */
internal class Thumbnails {
    private val shown = LruCache<String, Bitmap>(MOST)

    /** Null where the file is gone. */
    fun of(picture: Picture): Bitmap? = shown.get(picture.thumbnail)
        ?: BitmapFactory.decodeFile(picture.thumbnail)?.also { shown.put(picture.thumbnail, it) }

    private companion object {
        const val MOST = 16
    }
}
