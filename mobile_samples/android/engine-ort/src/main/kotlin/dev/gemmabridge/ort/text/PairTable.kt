package dev.gemmabridge.ort.text

/** Numbers by pairs of token ids, without an object for each: half a million merges take some ten megabytes. */
internal class PairTable(count: Int) {
    private val mask = Integer.highestOneBit(maxOf(count, 1)) * 4 - 1
    private val keys = LongArray(mask + 1) { EMPTY }
    private val values = IntArray(mask + 1)

    /** A later value of a pair takes the place of an earlier one. */
    operator fun set(pair: Long, value: Int) {
        val slot = slot(pair)
        keys[slot] = pair
        values[slot] = value
    }

    /** -1 where there is none. */
    operator fun get(pair: Long): Int = slot(pair).let { if (keys[it] == pair) values[it] else -1 }

    private fun slot(pair: Long): Int {
        val mixed = pair * -0x61c8864680b583ebL
        var slot = (mixed ushr 32).toInt() and mask
        while (keys[slot] != EMPTY && keys[slot] != pair) slot = (slot + 1) and mask
        return slot
    }

    companion object {
        private const val EMPTY = -1L

        fun pair(left: Int, right: Int): Long = (left.toLong() shl 32) or right.toLong()
    }
}
