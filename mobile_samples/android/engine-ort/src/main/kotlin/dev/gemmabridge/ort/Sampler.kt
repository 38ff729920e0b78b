package dev.gemmabridge.ort

import dev.gemmabridge.core.Sampling

/**
 * Draws a token from logits: greedy, or among the best by top-k and top-p with a seed.
 *
 * The same logits and seed give the same tokens everywhere: numbers come from SplitMix64 (Steele, Lea and Flood, 2014),
 * sums run from the best token on, in double.
 *
 * @param suppressed ids that are never drawn.
 */
class Sampler(private val sampling: Sampling, private val suppressed: Set<Int> = emptySet()) {
    private var state = sampling.seed.toLong()

    /** A token; null where no logit is a number. */
    fun draw(logits: FloatArray): Int? {
        val kept = candidates(logits, maxOf(sampling.topK, 1))
        if (kept.isEmpty()) return null
        if (sampling.topK <= 1) return kept[0]
        // Softmax over the candidates, the largest first: its exponent is 0.
        val first = logits[kept[0]].toDouble()
        val weights = DoubleArray(kept.size) { Math.exp((logits[kept[it]].toDouble() - first) / sampling.temperature.toDouble()) }
        val all = weights.sum()
        var mass = 0.0
        var count = 0
        while (count < weights.size) {
            mass += weights[count++]
            if (mass >= sampling.topP.toDouble() * all) break
        }
        val target = uniform() * mass
        var sum = 0.0
        for (i in 0 until count) {
            sum += weights[i]
            if (target < sum) return kept[i]
        }
        return kept[count - 1]
    }

    /** The [most] largest, the largest first, the lower id first of equal ones. What is no number is none of them. */
    private fun candidates(logits: FloatArray, most: Int): List<Int> {
        val order = Comparator<Int> { one, other ->
            if (logits[one] != logits[other]) logits[other].compareTo(logits[one]) else one.compareTo(other)
        }
        var all = ArrayList<Int>()
        var bar = Float.NEGATIVE_INFINITY
        for (i in logits.indices) {
            if (!(logits[i] >= bar) || logits[i] == Float.NEGATIVE_INFINITY || i in suppressed) continue
            all.add(i)
            // Now and then only the best are kept, so that a large vocabulary is not sorted as a whole.
            if (all.size >= 2L * most + ROOM) {
                all.sortWith(order)
                all = ArrayList(all.subList(0, most))
                bar = logits[all.last()]
            }
        }
        all.sortWith(order)
        return all.subList(0, minOf(most, all.size))
    }

    /** In [0, 1), 53 bits. */
    private fun uniform(): Double {
        state += -0x61c8864680b583ebL
        var z = state
        z = (z xor (z ushr 30)) * -0x40a7b892e31b1a47L
        z = (z xor (z ushr 27)) * -0x6b2fb644ecceee15L
        z = z xor (z ushr 31)
        return (z ushr 11) * UNIT
    }

    private companion object {
        const val ROOM = 1024
        val UNIT = Math.pow(2.0, -53.0)
    }
}
