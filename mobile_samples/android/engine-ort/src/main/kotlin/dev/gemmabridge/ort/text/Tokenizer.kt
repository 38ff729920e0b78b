package dev.gemmabridge.ort.text

import dev.gemmabridge.core.RefusedException
import java.io.File

/**
 * The tokenizer of a bundle, from its `tokenizer.json`: byte pair encoding with bytes for what has no piece.
 *
 * It gives the tokens that the `tokenizers` library gives. What a file asks for and this reader does not know is refused
 * when it is opened: see [TokenizerFile].
 */
class Tokenizer internal constructor(private val file: TokenizerFile) {
    private val added = AddedTokens(file.added)

    /** Pieces and added tokens together. */
    val count: Int
        get() = file.texts.size

    /** The tokens of a text, without a start token. Added tokens (`<|turn>`) are recognized wherever they are spelled. */
    fun encode(text: String): IntArray {
        val out = ArrayList<Int>()
        added.cut(
            whole(text),
            stretch = { part -> split(file.normalized(part)) { file.model.encode(it, out) } },
            token = { out.add(it) },
        )
        return out.toIntArray()
    }

    /** The text of tokens. Special ones are left out where [skipSpecial], else they stand there as they are spelled. */
    fun decode(tokens: IntArray, skipSpecial: Boolean = true): String {
        val decoder = StreamDecoder(this, skipSpecial)
        val out = StringBuilder()
        for (token in tokens) out.append(decoder.push(token))
        return out.append(decoder.finish()).toString()
    }

    /** How the file spells a token; null where there is none of this id. */
    fun text(id: Int): String? = file.texts.getOrNull(id)

    internal fun piece(id: Int): String = text(id) ?: throw RefusedException("no token $id: the tokenizer has $count")

    internal fun isSpecial(id: Int): Boolean = id in file.special

    /** The text that a piece stands for when it is decoded. */
    internal fun spoken(piece: String): String = file.decoded(piece)

    /** Stretches that end with the text at which is cut. */
    private fun split(text: String, each: (String) -> Unit) {
        val at = file.split
        var begin = 0
        while (at != null && begin < text.length) {
            val found = text.indexOf(at, begin)
            if (found < 0) break
            // A cut that follows another one at once stands alone.
            each(text.substring(begin, found + at.length))
            begin = found + at.length
        }
        if (begin < text.length) each(text.substring(begin))
    }

    /** Halves of surrogate pairs are no text; they become U+FFFD, as they would in UTF-8. */
    private fun whole(text: String): String {
        if (text.indices.none { JsonStream.lonely(text, it) }) return text
        return String(CharArray(text.length) { if (JsonStream.lonely(text, it)) '\uFFFD' else text[it] })
    }

    companion object {
        /**
         * Reads a `tokenizer.json`; one of published size takes some seconds.
         *
         * @throws RefusedException not readable, not such a file, or it asks for what this reader does not know.
         */
        fun read(file: File): Tokenizer = Tokenizer(TokenizerFile.read(file))
    }
}
