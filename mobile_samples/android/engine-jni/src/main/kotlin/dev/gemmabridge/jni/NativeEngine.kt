package dev.gemmabridge.jni

import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Session
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Sessions

/** A model in LiteRT-LM's C library. */
class NativeEngine internal constructor(
    override val backend: Backend,
    private val handle: Long,
    private val settings: EngineSettings,
) : Engine {
    private val sessions = Sessions<NativeSession> { Native.close(handle) }

    override val pictures: Boolean
        get() = settings.pictures > 0

    override fun start(settings: SessionSettings): Session = sessions.begin {
        val sink = ChunkSink()
        val sampling = settings.sampling
        val session = Native.start(
            handle,
            sink,
            if (settings.history.isEmpty()) null else Messages.all(settings.history).toByteArray(Charsets.UTF_8),
            if (settings.tools.isEmpty()) null else Messages.tools(settings.tools).toByteArray(Charsets.UTF_8),
            sampling?.topK ?: 0,
            sampling?.topP ?: 0f,
            sampling?.temperature ?: 0f,
            sampling?.seed ?: 0,
            settings.maxTokens,
            when (this.settings.drafts(sampling)) {
                null -> -1
                true -> 1
                false -> 0
            },
            settings.thinking,
        )
        NativeSession(this, session, sink.chunks, settings.maxTokens, this.settings.contextTokens)
    }

    override fun complete(prompt: String, maxTokens: Int): String? = sessions.use {
        Native.complete(handle, text(prompt), maxTokens).toString(Charsets.UTF_8)
    }

    override fun tokenize(text: String): IntArray? = sessions.use { Native.tokenize(handle, text(text)) }

    override fun detokenize(tokens: IntArray): String? = sessions.use {
        if (tokens.isEmpty()) "" else Native.detokenize(handle, tokens)?.toString(Charsets.UTF_8)
    }

    override fun close() = sessions.close()

    internal fun forget(session: NativeSession) = sessions.forget(session)

    /** C text ends at the first zero. */
    private fun text(text: String): ByteArray {
        if ('\u0000' in text) throw EngineException("the text holds a zero character")
        return text.toByteArray(Charsets.UTF_8)
    }
}

/**
 * Loads models with the C library on the CPU; the packages of the library hold no accelerator for GPUs.
 *
 * @param load loads `liblitert-lm.so` and then `libgemmabridge.so`; called at every [open], which costs nothing after the
 *     first time.
 */
class NativeEngineFactory(private val load: Runnable) : EngineFactory {
    override val backends: List<Backend> = listOf(Backend.CPU)

    override fun open(settings: EngineSettings, backend: Backend): Engine {
        load.run()
        val handle = Native.open(
            settings.modelPath.toByteArray(Charsets.UTF_8),
            backend.wire.toByteArray(Charsets.UTF_8),
            settings.cacheDir.toByteArray(Charsets.UTF_8),
            settings.threads,
            settings.contextTokens,
            settings.pictures,
        )
        return NativeEngine(backend, handle, settings)
    }
}
