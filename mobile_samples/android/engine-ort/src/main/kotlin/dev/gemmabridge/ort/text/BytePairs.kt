package dev.gemmabridge.ort.text

import java.util.PriorityQueue

/**
 * The model of a tokenizer: byte pair encoding, with bytes for characters that have no piece.
 *
 * @property pieces id by piece.
 * @param ranks of a pair of ids that becomes one: the lower, the sooner.
 * @param made the id that a merge makes, by rank.
 * @param bytes tokens of `<0x00>` to `<0xFF>`.
 */
internal class BytePairs(
    val pieces: Map<String, Int>,
    private val ranks: PairTable,
    private val made: IntArray,
    private val bytes: IntArray,
) {
    /** Appends the tokens of a stretch of text. */
    fun encode(text: String, out: MutableList<Int>) {
        val ids = IntArray(3 * text.length)
        var count = 0
        var at = 0
        while (at < text.length) {
            val end = text.offsetByCodePoints(at, 1)
            val character = text.substring(at, end)
            val id = pieces[character]
            if (id != null) {
                ids[count++] = id
            } else {
                for (byte in character.toByteArray(Charsets.UTF_8)) ids[count++] = bytes[byte.toInt() and 0xFF]
            }
            at = end
        }
        merge(ids, count)
        for (i in 0 until count) if (ids[i] >= 0) out.add(ids[i])
    }

    /**
     * Merges neighbours until no pair of them has a merge: always the pair of lowest rank, of several the leftmost.
     * What was merged into the one before it is -1 afterwards. The time is n log n.
     */
    private fun merge(ids: IntArray, count: Int) {
        val next = IntArray(count) { it + 1 }
        val previous = IntArray(count) { it - 1 }
        val waiting = PriorityQueue<Long>()
        val wait = { left: Int, right: Int ->
            val rank = ranks[PairTable.pair(ids[left], ids[right])]
            if (rank >= 0) waiting.add((rank.toLong() shl 32) or left.toLong())
        }
        for (i in 0 until count - 1) wait(i, i + 1)
        while (true) {
            val top = waiting.poll() ?: return
            val left = (top and 0xFFFFFFFFL).toInt()
            val rank = (top ushr 32).toInt()
            if (ids[left] < 0 || next[left] >= count) continue
            val right = next[left]
            // What waited is out of date where another pair stands there by now.
            if (ranks[PairTable.pair(ids[left], ids[right])] != rank) continue
            ids[left] = made[rank]
            ids[right] = -1
            next[left] = next[right]
            if (next[left] < count) {
                previous[next[left]] = left
                wait(left, next[left])
            }
            if (previous[left] >= 0) wait(previous[left], left)
        }
    }
}
