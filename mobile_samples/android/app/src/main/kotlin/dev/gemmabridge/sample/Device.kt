package dev.gemmabridge.sample

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

    /** Bytes free where [cache] lies. */
    fun free(): Long

    /** RAM in bytes: all of it, and what is free without closing other apps. */
    fun memory(): Pair<Long, Long>

    /** A file of the bundle that travels inside the app; null when it does not. The caller closes it. */
    fun packed(name: String): InputStream?
}
