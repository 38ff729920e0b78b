package dev.gemmabridge.aar

import com.google.ai.edge.litertlm.Contents
import com.google.ai.edge.litertlm.ConversationConfig
import com.google.ai.edge.litertlm.SamplerConfig
import com.google.ai.edge.litertlm.ThinkingConfig
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.ChunkQueue
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Session
import dev.gemmabridge.core.SessionSettings
import com.google.ai.edge.litertlm.Engine as GoogleEngine

/**
 * A model in Google's Kotlin API. It gives text and no tokens, and continues no bare prompts: the self-test compares the
 * chats whose tokens are all certain.
 */
class AarEngine internal constructor(
    override val backend: Backend,
    private val engine: GoogleEngine,
    private val context: Int,
) : Engine {
    private val lock = Any()
    private val sessions = HashSet<AarSession>()
    private var closed = false
    private var freed = false

    override fun start(settings: SessionSettings): Session = synchronized(lock) {
        if (closed) throw EngineException("the engine is closed")
        val conversation = Failures.told("the engine begins no conversation") { engine.createConversation(config(settings)) }
        AarSession(this, conversation, ChunkQueue(), settings.maxTokens, context).also { sessions.add(it) }
    }

    private fun config(settings: SessionSettings): ConversationConfig {
        val system = settings.history.firstOrNull()?.takeIf { it.role == Role.SYSTEM }
        val rest = if (system == null) settings.history else settings.history.drop(1)
        return ConversationConfig(
            systemInstruction = system?.let { Contents.of(it.harmless().text) },
            initialMessages = rest.map { AarMessages.of(it.harmless()) },
            tools = settings.tools.map { AarMessages.declared(it) },
            samplerConfig = settings.sampling?.let {
                SamplerConfig(it.topK, it.topP.toDouble(), it.temperature.toDouble(), it.seed)
            },
            automaticToolCalling = false, // the core runs them: it shows them, bounds them and stops them
            maxOutputToken = settings.maxTokens.takeIf { it > 0 },
            thinkingConfig = if (settings.thinking) ThinkingConfig() else null,
        )
    }

    override fun complete(prompt: String, maxTokens: Int): String? = null

    override fun tokenize(text: String): IntArray? = null

    override fun detokenize(tokens: IntArray): String? = null

    override fun close() {
        val open = synchronized(lock) {
            closed = true
            sessions.toList()
        }
        for (session in open) session.close()
        freeUnused()
    }

    internal fun forget(session: AarSession) {
        synchronized(lock) { sessions.remove(session) }
        freeUnused()
    }

    /** A session that is closed within its own listener lives a little longer than [close]; the engine must outlive it. */
    private fun freeUnused() {
        synchronized(lock) {
            if (!closed || freed || sessions.isNotEmpty()) return
            freed = true
        }
        engine.close()
    }
}
