package dev.gemmabridge.core

import java.io.File

/**
 * What an engine writes when it first loads a model on the CPU: the weights as its kernels read them, which later starts
 * map. LiteRT-LM ends the process where the storage has no room for them, so they are asked about before.
 */
object FirstStart {
    /**
     * Bytes that are still to be written; 0 when all is there. What a first start left that was interrupted, or the
     * system has deleted, is written again.
     *
     * @param cache the folder that the engine was given; nothing of another model lies there. What a GPU keeps there counts.
     * @param packedWeights the manifest's figure, which the engine misses by some percent at most.
     */
    fun left(cache: File, packedWeights: Long): Long {
        val there = cache.listFiles().orEmpty().filter { it.isFile }.sumOf { it.length() }
        return if (there >= packedWeights - packedWeights / TOLERANCE) 0 else packedWeights - there
    }

    /** Why there is no room for so many bytes more; null where there is. */
    fun refusal(left: Long, free: Long): String? {
        if (left == 0L || free - Landing.RESERVE >= left) return null
        val need = if (left > Long.MAX_VALUE - Landing.RESERVE) Long.MAX_VALUE else left + Landing.RESERVE
        return "The first start writes ${Size.of(left)} and needs ${Size.of(need)} of free storage; ${Size.of(free)} are free."
    }

    /** Deletes what was made of another model. */
    fun clear(cache: File) {
        cache.listFiles()?.forEach { it.deleteRecursively() }
    }

    private const val TOLERANCE = 10
}
