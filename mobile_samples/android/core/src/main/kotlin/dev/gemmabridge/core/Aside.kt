package dev.gemmabridge.core

import java.util.concurrent.Callable
import java.util.concurrent.ExecutionException
import java.util.concurrent.Executors
import java.util.concurrent.TimeUnit
import java.util.concurrent.TimeoutException

/**
 * Runs blocking calls on a thread of its own, so that a cancel need not wait for them: closing a connection from outside
 * does not end a read everywhere.
 */
internal class Aside(private val cancel: Cancel) {
    private val worker = Executors.newSingleThreadExecutor { Thread(it, "transfer").apply { isDaemon = true } }

    /**
     * Waits for the result of [action], or for a cancel; then its result is dropped whenever it comes.
     *
     * @throws TransferException with [Trouble.CANCELLED]; otherwise whatever [action] throws.
     */
    fun <T> run(action: () -> T): T {
        val result = worker.submit(Callable { action() })
        while (true) {
            cancel.check()
            try {
                return result.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)
            } catch (error: TimeoutException) {
                continue
            } catch (error: ExecutionException) {
                throw error.cause ?: error
            } catch (error: InterruptedException) {
                Thread.currentThread().interrupt()
                throw TransferException(Trouble.CANCELLED, "Cancelled.", error)
            }
        }
    }

    /** Runs [last] after what is running still, without waiting for it, and ends the thread. */
    fun end(last: () -> Unit) {
        worker.execute { last() }
        worker.shutdown()
    }

    private companion object {
        const val PATIENCE_MILLIS = 50L
    }
}
