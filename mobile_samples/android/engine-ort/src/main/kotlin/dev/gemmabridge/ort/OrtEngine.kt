package dev.gemmabridge.ort

import ai.onnxruntime.OrtException
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.ChunkQueue
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.Feeding
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.core.Session
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Sessions
import dev.gemmabridge.core.Turn
import dev.gemmabridge.ort.template.ChatTemplate
import dev.gemmabridge.ort.text.Tokenizer
import java.util.Random

/**
 * A model in ONNX Runtime. The runtime computes logits of token ids; template, tokens, cache and draw are here.
 *
 * Tools of a session are not declared to the model.
 */
class OrtEngine internal constructor(
    internal val graphs: Graphs,
    internal val tokenizer: Tokenizer,
    private val template: ChatTemplate,
    internal val feeding: Feeding,
    internal val context: Int,
) : Engine {
    override val backend = Backend.CPU

    override val pictures: Boolean
        get() = graphs.sight != null
    private val sessions = Sessions<OrtChat> { graphs.close() }

    override fun start(settings: SessionSettings): Session = sessions.begin {
        told { OrtChat(this, settings, settings.sampling ?: own(), ChunkQueue()) }
    }

    /** As the checkpoint asks for it, each time otherwise. */
    private fun own(): Sampling = feeding.sampler?.let {
        Sampling(it.topK, it.topP.toFloat(), it.temperature.toFloat(), Random().nextInt())
    } ?: Sampling.GREEDY

    override fun complete(prompt: String, maxTokens: Int): String? = use {
        val drawing = Drawing(feeding, tokenizer, Sampling.GREEDY)
        val out = StringBuilder()
        Cache(graphs).use { cache ->
            val ids = started(tokenizer.encode(prompt))
            if (ids.size >= context) throw EngineException("${ids.size} tokens do not fit a context of $context")
            var logits = cache.read(ids)!!
            while (drawing.tokens < maxTokens) {
                val token = drawing.next(logits) ?: break
                out.append(drawing.take(token))
                if (drawing.tokens == maxTokens || cache.size == context) break
                logits = cache.step(token)!!
            }
        }
        out.append(drawing.finish()).toString()
    }

    override fun tokenize(text: String): IntArray? = use { tokenizer.encode(text) }

    override fun detokenize(tokens: IntArray): String? = use { tokenizer.decode(tokens) }

    override fun close() = sessions.close()

    /**
     * Tokens of a conversation, ready for the answer.
     *
     * @param pictures tokens that each of its pictures becomes, in their order.
     */
    internal fun prompt(turns: List<Turn>, thinking: Boolean, pictures: List<Int> = emptyList()): IntArray = told {
        val ids = started(tokenizer.encode(template.render(turns, feeding.start.text ?: "", thinking)))
        feeding.images?.cutting?.around?.spread(ids, pictures) ?: ids
    }

    /** The template prints the start token most often; it is fed once in any case. */
    private fun started(ids: IntArray) = if (ids.firstOrNull() == feeding.start.id) ids else intArrayOf(feeding.start.id) + ids

    internal fun forget(session: OrtChat) = sessions.forget(session)

    private fun <T> use(action: () -> T): T = sessions.use { told(action) }

    internal companion object {
        /** Runs what reads files or calls the runtime; what that throws becomes what an engine may throw. */
        fun <T> told(action: () -> T): T = try {
            action()
        } catch (error: OrtException) {
            throw EngineException("ONNX Runtime: ${error.message}", error)
        } catch (error: RefusedException) {
            throw EngineException(error.message!!, error)
        }
    }
}
