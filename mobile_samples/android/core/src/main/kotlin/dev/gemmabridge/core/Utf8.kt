package dev.gemmabridge.core

import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.nio.charset.CodingErrorAction

/** Strict UTF-8: a broken sequence is refused and not replaced. */
object Utf8 {
    /** @throws RefusedException [name] is not UTF-8. */
    fun decode(bytes: ByteArray, name: String): String {
        val decoder = Charsets.UTF_8.newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT)
        return try {
            decoder.decode(ByteBuffer.wrap(bytes)).toString()
        } catch (error: CharacterCodingException) {
            throw RefusedException("$name is not UTF-8", error)
        }
    }
}
