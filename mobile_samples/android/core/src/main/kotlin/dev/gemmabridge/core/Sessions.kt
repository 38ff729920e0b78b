package dev.gemmabridge.core

import java.util.concurrent.locks.ReentrantReadWriteLock
import kotlin.concurrent.read
import kotlin.concurrent.write

/**
 * The open sessions of an engine, and its end.
 *
 * Calls hold the lock for reading, [close] for writing: so it waits for them, and nothing comes after it.
 *
 * @param free frees what the sessions stand on; called once, after the last of them.
 */
class Sessions<S : Session>(private val free: () -> Unit) {
    private val lock = ReentrantReadWriteLock()
    private val open = HashSet<S>()

    @Volatile
    private var closed = false
    private var freed = false

    /** @throws EngineException the engine is closed. */
    fun <T> use(action: () -> T): T = lock.read {
        if (closed) throw EngineException("the engine is closed")
        action()
    }

    /** A session that [make] begins; it calls [forget] when it was closed. */
    fun begin(make: () -> S): S = use { make().also { synchronized(open) { open.add(it) } } }

    fun forget(session: S) {
        synchronized(open) { open.remove(session) }
        freeUnused()
    }

    /** Closes all of them, then what they stand on. A second call does nothing. */
    fun close() {
        val left = lock.write {
            if (closed) return
            closed = true
            synchronized(open) { open.toList() }
        }
        for (session in left) session.close()
        freeUnused()
    }

    /** A session that is closed within its own listener lives a little longer than [close]; the engine must outlive it. */
    private fun freeUnused() {
        synchronized(open) {
            if (!closed || freed || open.isNotEmpty()) return
            freed = true
        }
        free()
    }
}
