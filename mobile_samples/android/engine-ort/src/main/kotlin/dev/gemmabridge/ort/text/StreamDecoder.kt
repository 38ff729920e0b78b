package dev.gemmabridge.ort.text

import java.io.ByteArrayOutputStream
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException

/**
 * Makes text of tokens as they come, one by one.
 *
 * A character that is spelled byte by byte comes when it is whole: bytes are held back until a token follows that is
 * none, because a run of bytes that is no UTF-8 becomes one U+FFFD a byte. All pieces together, with that of [finish],
 * are what the `tokenizers` library makes of all tokens.
 */
class StreamDecoder(private val tokenizer: Tokenizer, private val skipSpecial: Boolean = true) {
    private val held = ByteArrayOutputStream()

    /**
     * The text that has become certain with the next token; often empty.
     *
     * @throws dev.gemmabridge.core.RefusedException no such token.
     */
    fun push(token: Int): String {
        val piece = tokenizer.piece(token)
        if (skipSpecial && tokenizer.isSpecial(token)) return ""
        val byte = BYTE.matchEntire(piece)
        if (byte != null) {
            held.write(byte.groupValues[1].toInt(16))
            return ""
        }
        return finish() + tokenizer.spoken(piece)
    }

    /** What was held back; the decoder is then as new. */
    fun finish(): String {
        if (held.size() == 0) return ""
        val bytes = held.toByteArray()
        held.reset()
        return try {
            Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString()
        } catch (error: CharacterCodingException) {
            "\uFFFD".repeat(bytes.size)
        }
    }

    private companion object {
        val BYTE = Regex("<0x([0-9A-Fa-f]{2})>")
    }
}
