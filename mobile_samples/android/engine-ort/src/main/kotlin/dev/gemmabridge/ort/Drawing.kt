package dev.gemmabridge.ort

import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.Feeding
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.ort.text.StreamDecoder
import dev.gemmabridge.ort.text.Tokenizer

/** Draws the tokens of one answer and makes text of them; thoughts are left out, and no picture is drawn. */
internal class Drawing(feeding: Feeding, tokenizer: Tokenizer, sampling: Sampling) {
    private val sampler = Sampler(sampling, feeding.suppressed + listOfNotNull(feeding.images?.cutting?.around?.each?.id))
    private val stops = feeding.stops.map { it.id }.toSet()
    private val begin = feeding.thought?.first?.id
    private val end = feeding.thought?.second?.id
    private val decoder = StreamDecoder(tokenizer)
    private var thinking = false

    /** Tokens that were taken, thoughts included. */
    var tokens = 0
        private set

    /** The next token; null when the answer is done. */
    fun next(logits: FloatArray): Int? {
        val token = sampler.draw(logits) ?: throw EngineException("no logit is a number")
        return if (token in stops) null else token
    }

    /** What the token adds to the text. */
    fun take(token: Int): String {
        tokens++
        if (token == begin) thinking = true
        val piece = if (thinking) "" else decoder.push(token)
        if (token == end) thinking = false
        return piece
    }

    /** What was held back. */
    fun finish(): String = decoder.finish()
}
