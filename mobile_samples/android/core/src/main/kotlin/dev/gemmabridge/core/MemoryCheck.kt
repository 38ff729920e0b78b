package dev.gemmabridge.core

/** Whether a model goes into the memory of a device. */
enum class MemoryVerdict { ENOUGH, TIGHT, TOO_SMALL }

/**
 * @property need bytes that have to be resident while a token is made.
 * @property message for people; empty when there is enough.
 */
class MemoryResult(val verdict: MemoryVerdict, val need: Long, val message: String)

/**
 * Compares a manifest's numbers with the device before anything is loaded: a process that takes too much is killed
 * without a trace.
 *
 * Weights, KV cache and what reads a picture must be resident; of the embeddings a token touches a few pages. [WORKING] is for the engine's
 * own buffers and the app, [SHARE] of the RAM what one app gets on a phone that is otherwise empty. Both are judgements.
 */
object MemoryCheck {
    const val WORKING = 300L * 1024 * 1024
    const val SHARE = 0.6

    /**
     * @param total the device's RAM, bytes.
     * @param available what the system says is free without killing others, bytes.
     */
    fun check(need: MemoryNeed, total: Long, available: Long): MemoryResult {
        val bytes = plus(plus(plus(need.mappedWeights, need.kvCache), need.pictures), WORKING)
        val allowed = (total * SHARE).toLong()
        return when {
            bytes > allowed -> MemoryResult(
                MemoryVerdict.TOO_SMALL,
                bytes,
                "The model needs ${Size.of(bytes)} of memory; of this device's ${Size.of(total)} an app gets about " +
                    "${Size.of(allowed)}.",
            )
            bytes > available -> MemoryResult(
                MemoryVerdict.TIGHT,
                bytes,
                "The model needs ${Size.of(bytes)} of memory and ${Size.of(available)} are free: other apps will be closed.",
            )
            else -> MemoryResult(MemoryVerdict.ENOUGH, bytes, "")
        }
    }

    /** A sum that stops at the largest number. */
    internal fun plus(a: Long, b: Long): Long = if (a > Long.MAX_VALUE - b) Long.MAX_VALUE else a + b
}
