package dev.gemmabridge.sample

import dev.gemmabridge.core.Images
import dev.gemmabridge.core.Picture
import dev.gemmabridge.core.PictureException
import java.io.File
import java.io.InputStream

/** What the app is given by the phone; a desktop can stand in for it. */
interface Device {
    /** Maker, model and system, for a report. */
    val name: String

    /** Where the model lives; `adb push` can write there. */
    val folder: File

    /** Where the engine may keep what it computes from a model; nothing else lies there. */
    val cache: File

    /** Where the pictures of the conversation lie; nothing else does. */
    val pictures: File

    /** Bytes free where [cache] lies. */
    fun free(): Long

    /** RAM in bytes: all of it, and what is free without closing other apps. */
    fun memory(): Pair<Long, Long>

    /** A file of the bundle that travels inside the app; null when it does not. The caller closes it. */
    fun packed(name: String): InputStream?

    /**
     * Turns a picture of any kind that this device decodes into one that the engine reads, in [pictures].
     *
     * @param images how large the model wants it.
     * @throws PictureException it cannot be taken; nothing of it is left.
     */
    fun picture(source: InputStream, images: Images): Picture
}
