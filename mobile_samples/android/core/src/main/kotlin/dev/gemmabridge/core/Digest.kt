package dev.gemmabridge.core

import java.io.File
import java.io.FileInputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest

/** The digests of a bundle, in lower-case hex. */
object Digest {
    fun sha256(bytes: ByteArray): String = hex(MessageDigest.getInstance("SHA-256").digest(bytes))

    /** Of a whole file; [tick] is told how many bytes were read so far, and may throw to end it. */
    fun sha256(file: File, tick: (Long) -> Unit): String {
        val digest = MessageDigest.getInstance("SHA-256")
        val buffer = ByteArray(BUFFER)
        var done = 0L
        FileInputStream(file).use { stream ->
            while (true) {
                val read = stream.read(buffer)
                if (read < 0) break
                digest.update(buffer, 0, read)
                done += read
                tick(done)
            }
        }
        return hex(digest.digest())
    }

    fun hex(bytes: ByteArray): String {
        val out = StringBuilder(bytes.size * 2)
        for (byte in bytes) {
            out.append(DIGITS[(byte.toInt() shr 4) and 15]).append(DIGITS[byte.toInt() and 15])
        }
        return out.toString()
    }

    /** Over tokens as 32-bit little-endian integers: `tokens_sha256` of a golden. */
    fun tokens(tokens: IntArray): String {
        val buffer = ByteBuffer.allocate(4 * tokens.size).order(ByteOrder.LITTLE_ENDIAN)
        for (token in tokens) buffer.putInt(token)
        return sha256(buffer.array())
    }

    /** Over tokens and their logits, alternating: `digest` of a golden's step, 16 digits. */
    fun step(tokens: IntArray, logits: DoubleArray): String {
        val buffer = ByteBuffer.allocate(8 * tokens.size).order(ByteOrder.LITTLE_ENDIAN)
        for (i in tokens.indices) buffer.putInt(tokens[i]).putFloat(logits[i].toFloat())
        return sha256(buffer.array()).substring(0, 16)
    }

    const val BUFFER = 1 shl 17
    private const val DIGITS = "0123456789abcdef"
}
