package dev.gemmabridge.core

import java.io.EOFException
import java.io.InputStream

/** A stream's bytes, one after the other. */
internal class PictureBytes(private val source: InputStream) {
    private val block = ByteArray(1 shl 16)
    private var at = 0
    private var end = 0

    /** @throws EOFException there is none. */
    fun next(): Int {
        if (at == end) {
            end = source.read(block)
            at = 0
            if (end <= 0) throw EOFException()
        }
        return block[at++].toInt() and 0xff
    }

    fun skip(count: Long) {
        var left = count
        while (left > 0) {
            if (at == end) {
                next()
                left--
            }
            val step = minOf(left, (end - at).toLong()).toInt()
            at += step
            left -= step
        }
    }

    fun big(bytes: Int): Long = (0 until bytes).fold(0L) { value, _ -> (value shl 8) or next().toLong() }

    fun little(bytes: Int): Long = (0 until bytes).fold(0L) { value, i -> value or (next().toLong() shl (8 * i)) }

    fun text(bytes: Int): String = String(CharArray(bytes) { next().toChar() })
}

/** One file of [length] bytes, of a kind that its first bytes tell. */
internal class PictureScan(private val bytes: PictureBytes, private val length: Long) {
    fun run(): Boolean {
        val first = bytes.text(2)
        if (first == "\u00ff\u00d8") return jpeg()
        if (first == "BM") return bitmap()
        val head = first + bytes.text(2)
        return when {
            head == "\u0089PNG" -> png()
            head == "GIF8" -> gif()
            head == "RIFF" -> webp()
            else -> boxes(head)
        }
    }

    private fun unreadable(): Nothing = throw PictureException(PictureTrouble.UNREADABLE)

    private fun cutOff(): Nothing = throw PictureException(PictureTrouble.CUT_OFF)

    /** ITU-T T.81, annex B. Behind a scan's header come bytes in which 0xff is followed by 0 or a restart marker. */
    private fun jpeg(): Boolean {
        var progressive = false
        var scans = 0
        while (true) {
            while (bytes.next() != 0xff) continue
            var marker = bytes.next()
            while (marker == 0xff) marker = bytes.next()
            when (marker) {
                0xd9 -> return if (scans > 0) progressive else unreadable()
                0, 0x01, in 0xd0..0xd8 -> Unit
                else -> {
                    if (marker in PROGRESSIVE) progressive = true
                    if (marker == 0xda) scans++
                    val size = bytes.big(2)
                    if (size < 2) unreadable()
                    bytes.skip(size - 2)
                }
            }
        }
    }

    /** PNG, third edition, section 5: chunks of a length, a type, content and a sum, the first IHDR, the last IEND. */
    private fun png(): Boolean {
        if (bytes.text(4) != "\r\n\u001a\n") unreadable()
        val size = bytes.big(4)
        if (bytes.text(4) != "IHDR" || size != HEADER) unreadable()
        bytes.skip(HEADER - 1)
        val interlaced = bytes.next() != 0
        bytes.skip(4)
        while (true) {
            val content = bytes.big(4)
            val type = bytes.text(4)
            bytes.skip(content + 4)
            if (type == "IEND") return interlaced
        }
    }

    /** GIF89a, sections 17 to 27. */
    private fun gif(): Boolean {
        bytes.skip(6)
        table(between = 2)
        while (true) {
            when (bytes.next()) {
                0x3b -> return true
                0x21 -> bytes.skip(1)
                0x2c -> {
                    bytes.skip(8)
                    table(between = 0)
                    bytes.skip(1)
                }
                else -> unreadable()
            }
            do {
                val block = bytes.next()
                bytes.skip(block.toLong())
            } while (block > 0)
        }
    }

    /** A byte that says whether a table of colours follows and how large it is, [between] bytes behind. */
    private fun table(between: Long) {
        val packed = bytes.next()
        bytes.skip(between)
        if (packed and 0x80 != 0) bytes.skip(3L shl ((packed and 7) + 1))
    }

    private fun webp(): Boolean {
        val size = bytes.little(4)
        if (bytes.text(4) != "WEBP") unreadable()
        return if (length < size + 8) cutOff() else true
    }

    private fun bitmap(): Boolean = if (length < bytes.little(4)) cutOff() else true

    /** ISO/IEC 14496-12, section 4.2: boxes of a length and a type, the first of them `ftyp`; HEIC and AVIF are such. */
    private fun boxes(head: String): Boolean {
        var size = head.fold(0L) { value, c -> (value shl 8) or c.code.toLong() }
        if (bytes.text(4) != "ftyp") unreadable()
        var begin = 0L
        while (true) {
            var header = 8L
            if (size == 1L) {
                size = bytes.big(8)
                header = 16
            }
            if (size == 0L) return true // to the end of the file, wherever that is
            if (size < header) unreadable()
            if (size > length - begin) cutOff()
            bytes.skip(size - header)
            begin += size
            if (begin == length) return true
            size = bytes.big(4)
            bytes.skip(4)
        }
    }

    private companion object {
        const val HEADER = 13L
        val PROGRESSIVE = setOf(0xc2, 0xc6, 0xca, 0xce)
    }
}
