package dev.gemmabridge.aar

import com.google.ai.edge.litertlm.Contents
import com.google.ai.edge.litertlm.ConversationConfig
import com.google.ai.edge.litertlm.Message
import com.google.ai.edge.litertlm.SamplerConfig
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Session
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Turn
import com.google.ai.edge.litertlm.Engine as Native

/** A model in Google's library. It has no tokenizer to offer, and continues no plain text up to a limit. */
internal class LiteRtLmEngine(private val native: Native, override val backend: Backend) : Engine {
    private val sessions = ArrayList<LiteRtLmSession>()
    private var closed = false

    override fun start(settings: SessionSettings): Session = synchronized(sessions) {
        if (closed) throw EngineException("the engine is closed")
        val (system, rest) = settings.history.partition { it.role == Role.SYSTEM }
        val config = ConversationConfig(
            systemInstruction = system.firstOrNull()?.let { Contents.of(it.text) },
            initialMessages = rest.map(::message),
            samplerConfig = settings.sampling?.let {
                SamplerConfig(it.topK, it.topP.toDouble(), it.temperature.toDouble(), it.seed)
            },
        )
        val conversation = try {
            native.createConversation(config)
        } catch (error: Exception) {
            throw EngineException(error.message ?: error.toString(), error)
        }
        LiteRtLmSession(conversation, settings) { gone -> synchronized(sessions) { sessions.remove(gone) } }
            .also { sessions.add(it) }
    }

    override fun complete(prompt: String, maxTokens: Int): String =
        throw EngineException("this engine continues no plain text")

    override fun tokenize(text: String): IntArray? = null

    override fun detokenize(tokens: IntArray): String? = null

    override fun close() {
        val open = synchronized(sessions) {
            if (closed) return
            closed = true
            sessions.toList()
        }
        open.forEach { it.close() }
        native.close()
    }

    private fun message(turn: Turn): Message =
        if (turn.role == Role.ASSISTANT) Message.model(turn.text) else Message.user(turn.text)
}
