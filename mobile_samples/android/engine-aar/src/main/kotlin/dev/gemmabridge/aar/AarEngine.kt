package dev.gemmabridge.aar

import com.google.ai.edge.litertlm.Contents
import com.google.ai.edge.litertlm.ConversationConfig
import com.google.ai.edge.litertlm.SamplerConfig
import com.google.ai.edge.litertlm.ThinkingConfig
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.ChunkQueue
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Session
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Sessions
import com.google.ai.edge.litertlm.Engine as GoogleEngine

/**
 * A model in Google's Kotlin API. It gives text and no tokens, and continues no bare prompts: the self-test compares the
 * chats whose tokens are all certain.
 */
class AarEngine internal constructor(
    override val backend: Backend,
    private val engine: GoogleEngine,
    private val settings: EngineSettings,
) : Engine {
    private val sessions = Sessions<AarSession> { engine.close() }

    override val pictures: Boolean
        get() = settings.pictures > 0

    override fun start(settings: SessionSettings): Session = sessions.begin {
        val conversation = Failures.told("the engine begins no conversation") { engine.createConversation(config(settings)) }
        AarSession(this, conversation, ChunkQueue(), settings.maxTokens, this.settings.contextTokens)
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
            enableSpeculativeDecoding = this.settings.drafts(settings.sampling),
        )
    }

    override fun complete(prompt: String, maxTokens: Int): String? = null

    override fun tokenize(text: String): IntArray? = null

    override fun detokenize(tokens: IntArray): String? = null

    override fun close() = sessions.close()

    internal fun forget(session: AarSession) = sessions.forget(session)
}
