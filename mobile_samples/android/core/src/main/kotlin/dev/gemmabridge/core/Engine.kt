package dev.gemmabridge.core

import java.io.Closeable

/** What the model runs on; [wire] is the engine's name of it. */
enum class Backend(val wire: String) {
    CPU("cpu"),
    GPU("gpu"),
    NPU("npu"),
}

/**
 * How to load a model.
 *
 * @property modelPath the `.litertlm`, already checked against the manifest: damage makes native code crash.
 * @property cacheDir a folder that the engine may fill. Never the model's own: caches can be as large as the model.
 * @property threads CPU threads; 0 leaves it to the engine.
 * @property contextTokens tokens of input and output together; 0 takes what the model was built with. More than that
 *     makes some runtimes crash, so it comes from the manifest and not from the user.
 * @property drafter whether the model file holds a drafter: the manifest says it.
 * @property pictures that a context has room for; 0 where the model takes none, of which the engine is told nothing.
 */
data class EngineSettings(
    val modelPath: String,
    val cacheDir: String,
    val threads: Int = 0,
    val contextTokens: Int = 0,
    val drafter: Boolean = false,
    val pictures: Int = 0,
) {
    /**
     * Whether a drafter guesses the tokens of a session: where the best one is taken every time. LiteRT-LM takes that
     * wherever a drafter guesses, whatever the sampler says. Null where there is none, of which the engine is told nothing.
     */
    fun drafts(sampling: Sampling?): Boolean? = if (drafter) sampling?.topK == 1 else null
}

/** How tokens are chosen; null in [SessionSettings] takes the settings inside the model file. */
data class Sampling(val topK: Int, val topP: Float, val temperature: Float, val seed: Int) {
    companion object {
        /** The best token every time. */
        @JvmField
        val GREEDY = Sampling(1, 1.0f, 1.0f, 1)
    }
}

/**
 * How a conversation begins.
 *
 * @property history what was said before, a system turn first if there is one; it must not end with the user's turn.
 * @property sampling null for the model's own.
 * @property maxTokens of one answer; 0 for no limit but the context.
 * @property thinking whether the model may think before it answers.
 * @property tools that the model may call; a template that knows none does not tell it of them.
 */
data class SessionSettings(
    val history: List<Turn> = emptyList(),
    val sampling: Sampling? = null,
    val maxTokens: Int = 0,
    val thinking: Boolean = false,
    val tools: List<Tool> = emptyList(),
)

/** Why an answer ended. */
enum class Ending {
    /** The model said that it was done. */
    DONE,

    /** [SessionSettings.maxTokens] was reached. An answer that needed its last token for the end is called so, too. */
    LIMIT,

    /** The context is full: the answer may be cut, and the session takes nothing more. */
    CONTEXT,

    /** [Session.cancel] or `close` ended it. */
    CANCELLED,
}

/**
 * How fast an answer came, as the engine measured it.
 *
 * @property tokens in the answer.
 * @property tokensPerSecond while decoding.
 * @property firstTokenSeconds from the message to the first token, in the first answer of a session.
 */
data class Speed(val tokens: Int, val tokensPerSecond: Double, val firstTokenSeconds: Double)

/**
 * An answer.
 *
 * @property text all pieces together.
 * @property speed null where the engine measured nothing.
 * @property calls what the model wants done before it goes on: [Session.answer] comes next then.
 */
data class Answer @JvmOverloads constructor(
    val text: String,
    val ending: Ending,
    val speed: Speed?,
    val calls: List<ToolCall> = emptyList(),
)

/** Receives an answer as it comes, on the thread that called [Session.send]. What it throws ends the answer. */
fun interface PieceListener {
    fun onPiece(piece: String)
}

/** The engine failed; the message is its own where it has one. */
open class EngineException @JvmOverloads constructor(message: String, cause: Throwable? = null) : Exception(message, cause)

/** What was sent does not fit into what is left of the context; nothing was said. */
class ContextFullException @JvmOverloads constructor(message: String, cause: Throwable? = null) : EngineException(message, cause)

/**
 * A conversation inside an engine: it remembers what was said.
 *
 * [send] is called by one thread at a time; [cancel] and [close] by any, at any time, also within the listener.
 * After a cancelled answer a session is used up ([usable] is false): LiteRT-LM 0.18.1 answers nothing any more then.
 * [Conversation] begins another one with the same history.
 */
interface Session : Closeable {
    val usable: Boolean

    /**
     * Sends the user's message and waits for the whole answer.
     *
     * @throws ContextFullException the message does not fit.
     * @throws EngineException the engine failed, or the session is closed or used up.
     */
    fun send(message: String, listener: PieceListener): Answer

    /**
     * Sends a message with [pictures], which are paths of files that stay as long as the session; the model sees them
     * before the words. Throws what [send] throws, also where a picture cannot be read.
     */
    fun send(message: String, pictures: List<String>, listener: PieceListener): Answer =
        if (pictures.isEmpty()) send(message, listener) else throw EngineException("this engine takes no pictures")

    /**
     * Sends what the tools answered that [Answer.calls] asked for, in the same order, and waits for what the model makes
     * of it. Throws what [send] throws.
     */
    fun answer(answers: List<ToolAnswer>, listener: PieceListener): Answer =
        throw EngineException("this engine takes no answers of tools")

    /** Ends the answer that is coming, soon; does nothing when none is. */
    fun cancel()

    /** Cancels, waits for the engine to let go and frees the memory. A second call does nothing. */
    override fun close()
}

/** A loaded model. Everything here may take seconds: never on a user interface's thread. */
interface Engine : Closeable {
    val backend: Backend

    /** Whether its sessions take pictures. */
    val pictures: Boolean
        get() = false

    /** @throws EngineException the engine failed or is closed. */
    fun start(settings: SessionSettings): Session

    /**
     * Continues a text without any template, greedily; for the self-test. Null where the engine cannot do this.
     *
     * @throws EngineException the engine failed or is closed.
     */
    fun complete(prompt: String, maxTokens: Int): String?

    /** Token ids of a text without the start token; null where the engine does not tell. */
    fun tokenize(text: String): IntArray?

    /** Text of token ids; null where the engine does not tell. */
    fun detokenize(tokens: IntArray): String?

    /** Closes its sessions, then itself. A second call does nothing. */
    override fun close()
}

/** Loads models with one library; an app has one of these for each engine that it brings. */
interface EngineFactory {
    /** Backends worth trying, best first. */
    val backends: List<Backend>

    /** @throws EngineException the model cannot be loaded there. */
    fun open(settings: EngineSettings, backend: Backend): Engine
}
