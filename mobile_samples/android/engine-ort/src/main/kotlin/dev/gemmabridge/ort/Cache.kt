package dev.gemmabridge.ort

import dev.gemmabridge.core.EngineException

/**
 * A conversation's keys and values, and the tokens that they are of. A prompt that begins as the last one did, with the
 * same pictures, is not read again.
 *
 * One user at a time.
 *
 * @param cancelled asked between two calls.
 */
internal class Cache(private val graphs: Graphs, private val cancelled: () -> Boolean = { false }) : AutoCloseable {
    private var seen = IntArray(0)
    private var rows = FloatArray(0) // of the pictures among them
    private var past: Past? = null

    /** Tokens that are in it. */
    val size: Int
        get() = seen.size

    /**
     * Logits after a prompt; null where it was cancelled. What it shares with what was read before is kept where it is
     * there: a sliding layer has lost rows once the conversation is longer than its window.
     *
     * @param shown rows of its pictures, `[places, width]`, in the order of the tokens in whose places they stand.
     * @throws EngineException there are more places than rows, or fewer.
     */
    fun read(prompt: IntArray, shown: FloatArray = FloatArray(0)): FloatArray? {
        val places = places(prompt)
        if (places * graphs.width != shown.size) {
            val found = shown.size / maxOf(1, graphs.width)
            throw EngineException("the prompt has $places places for rows of pictures, and the pictures have $found")
        }
        var done = cut(same(prompt, shown))
        var logits: FloatArray? = null
        while (done < prompt.size) {
            if (cancelled()) return null
            val piece = prompt.copyOfRange(done, minOf(done + PIECE, prompt.size))
            logits = feed(piece, shown.copyOfRange(rows.size, rows.size + places(piece) * graphs.width))
            done += piece.size
        }
        return logits
    }

    /** Logits after one more token; null where it was cancelled. */
    fun step(token: Int): FloatArray? = if (cancelled()) null else feed(intArrayOf(token), FloatArray(0))

    private fun places(ids: IntArray) = ids.count { it == graphs.each }

    /** How many of the first tokens are those that were read, with the same pictures; the last one is read anew. */
    private fun same(prompt: IntArray, shown: FloatArray): Int {
        var same = 0
        var row = 0
        while (same < minOf(prompt.size - 1, seen.size) && prompt[same] == seen[same]) {
            if (prompt[same] == graphs.each) {
                if ((row until row + graphs.width).any { shown[it] != rows[it] }) break
                row += graphs.width
            }
            same++
        }
        return same
    }

    private fun feed(ids: IntArray, shown: FloatArray): FloatArray {
        val before = past ?: graphs.nothing().also { past = it }
        val called = graphs.call(ids, seen.size, before, shown)
        past = called.past
        seen += ids
        if (shown.isNotEmpty()) rows += shown
        before.close()
        return called.logits
    }

    /** Keeps the first [count] tokens, or none of them; how many are left. */
    private fun cut(count: Int): Int {
        val before = past ?: return 0
        if (count == seen.size) return count
        val left = if (graphs.whole(before, seen.size)) count else 0
        past = if (left == 0) null else graphs.begin(before, left)
        seen = seen.copyOf(left)
        rows = rows.copyOf(places(seen) * graphs.width)
        before.close()
        return left
    }

    override fun close() {
        past?.close()
        past = null
        seen = IntArray(0)
        rows = FloatArray(0)
    }

    private companion object {
        /** Tokens of a prompt that go in at once: the memory for what lies between grows with them. */
        const val PIECE = 512
    }
}
