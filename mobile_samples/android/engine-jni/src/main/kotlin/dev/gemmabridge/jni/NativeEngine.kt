package dev.gemmabridge.jni

import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Session
import dev.gemmabridge.core.SessionSettings
import java.util.concurrent.locks.ReentrantReadWriteLock
import kotlin.concurrent.read
import kotlin.concurrent.write

/**
 * A model in LiteRT-LM's C library.
 *
 * Calls hold the lock for reading, [close] for writing: so it waits for them, and nothing comes after it.
 */
class NativeEngine internal constructor(
    override val backend: Backend,
    private val handle: Long,
    private val context: Int,
) : Engine {
    private val lock = ReentrantReadWriteLock()
    private val sessions = HashSet<NativeSession>()

    @Volatile
    private var closed = false
    private var freed = false

    override fun start(settings: SessionSettings): Session = use {
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
            settings.thinking,
        )
        NativeSession(this, session, sink.chunks, settings.maxTokens, context).also { synchronized(sessions) { sessions.add(it) } }
    }

    override fun complete(prompt: String, maxTokens: Int): String? = use {
        Native.complete(handle, text(prompt), maxTokens).toString(Charsets.UTF_8)
    }

    override fun tokenize(text: String): IntArray? = use { Native.tokenize(handle, text(text)) }

    override fun detokenize(tokens: IntArray): String? = use {
        if (tokens.isEmpty()) "" else Native.detokenize(handle, tokens)?.toString(Charsets.UTF_8)
    }

    override fun close() {
        val open = lock.write {
            if (closed) return
            closed = true
            synchronized(sessions) { sessions.toList() }
        }
        for (session in open) session.close()
        freeUnused()
    }

    internal fun forget(session: NativeSession) {
        synchronized(sessions) { sessions.remove(session) }
        freeUnused()
    }

    /** A session that is closed within its own listener lives a little longer than [close]; the engine must outlive it. */
    private fun freeUnused() {
        synchronized(sessions) {
            if (!closed || freed || sessions.isNotEmpty()) return
            freed = true
        }
        Native.close(handle)
    }

    private fun <T> use(action: () -> T): T = lock.read {
        if (closed) throw EngineException("the engine is closed")
        action()
    }

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
        )
        return NativeEngine(backend, handle, settings.contextTokens)
    }
}
