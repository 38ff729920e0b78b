package dev.gemmabridge.ort

/**
 * A conversation's keys and values, and the tokens that they are of. A prompt that begins as the last one did is not read
 * again.
 *
 * One user at a time.
 *
 * @param cancelled asked between two calls.
 */
internal class Cache(private val graphs: Graphs, private val cancelled: () -> Boolean = { false }) : AutoCloseable {
    private var seen = IntArray(0)
    private var past: Past? = null

    /** Tokens that are in it. */
    val size: Int
        get() = seen.size

    /**
     * Logits after a prompt; null where it was cancelled. What it shares with what was read before is kept where it is
     * there: a sliding layer has lost rows once the conversation is longer than its window.
     */
    fun read(prompt: IntArray): FloatArray? {
        var same = 0
        while (same < minOf(prompt.size - 1, seen.size) && prompt[same] == seen[same]) same++
        same = cut(same)
        var logits: FloatArray? = null
        for (begin in same until prompt.size step PIECE) {
            if (cancelled()) return null
            logits = feed(prompt.copyOfRange(begin, minOf(begin + PIECE, prompt.size)))
        }
        return logits
    }

    /** Logits after one more token; null where it was cancelled. */
    fun step(token: Int): FloatArray? = if (cancelled()) null else feed(intArrayOf(token))

    private fun feed(ids: IntArray): FloatArray {
        val before = past ?: graphs.nothing().also { past = it }
        val called = graphs.call(ids, seen.size, before)
        past = called.past
        seen += ids
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
        before.close()
        return left
    }

    override fun close() {
        past?.close()
        past = null
        seen = IntArray(0)
    }

    private companion object {
        /** Tokens of a prompt that go in at once: the memory for what lies between grows with them. */
        const val PIECE = 512
    }
}
