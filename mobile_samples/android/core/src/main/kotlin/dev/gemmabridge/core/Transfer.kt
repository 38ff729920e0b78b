package dev.gemmabridge.core

import java.io.File
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/** Why a model did not arrive. */
enum class Trouble {
    /** The disk is too full; nothing was written or what was written is kept to go on from. */
    NO_SPACE,

    /** No connection, or it broke too often. Try again: it goes on where it was. */
    NETWORK,

    /** The server refuses, or answers what it must not. */
    SERVER,

    /** The file there has another length or another SHA-256 than the manifest says: it is not the model. */
    WRONG_FILE,

    /** The device's storage failed. */
    STORAGE,

    CANCELLED,
}

/** A download, an import or a test that did not end well; the message is for people. */
class TransferException(val trouble: Trouble, message: String, cause: Throwable? = null) : Exception(message, cause)

/** What is being done with the bytes. */
enum class Phase { TRANSFER, CHECK }

/** Told about progress, at least every [Digest.BUFFER] bytes, on the working thread. */
fun interface Progress {
    fun onProgress(phase: Phase, done: Long, total: Long)
}

/** Free bytes in a folder. */
fun interface FreeSpace {
    fun bytes(folder: File): Long

    companion object {
        @JvmField
        val OF_DISK = FreeSpace { it.usableSpace }
    }
}

/** Asks a transfer to end; may be used by any thread, once. */
class Cancel {
    private val lock = ReentrantLock()
    private val changed = lock.newCondition()
    private var cancelled = false

    val isCancelled: Boolean
        get() = lock.withLock { cancelled }

    fun cancel() {
        lock.withLock {
            cancelled = true
            changed.signalAll()
        }
    }

    /** @throws TransferException with [Trouble.CANCELLED]. */
    fun check() {
        if (isCancelled) throw TransferException(Trouble.CANCELLED, "Cancelled.")
    }

    /** Waits, or throws when cancelled meanwhile. */
    internal fun pause(milliseconds: Long) {
        lock.withLock {
            var left = milliseconds * 1_000_000
            while (!cancelled && left > 0) left = changed.awaitNanos(left)
        }
        check()
    }
}
