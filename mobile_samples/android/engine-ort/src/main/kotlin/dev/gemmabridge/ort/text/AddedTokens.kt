package dev.gemmabridge.ort.text

/**
 * Finds added tokens (`<|turn>`) in a text: from the left, at one place the longest.
 *
 * @param tokens ids by how they are spelled.
 */
internal class AddedTokens(tokens: Map<String, Int>) {
    /** A trie: the node after a node and a character. Node 0 is the root. */
    private val edges = HashMap<Long, Int>()
    private val ends = ArrayList<Int>().apply { add(NONE) }

    init {
        for ((text, id) in tokens) {
            var node = 0
            for (c in text) {
                node = edges.getOrPut(edge(node, c)) {
                    ends.add(NONE)
                    ends.size - 1
                }
            }
            ends[node] = id
        }
    }

    /** Calls [stretch] for what lies between, and [token] for the tokens, in order. */
    fun cut(text: String, stretch: (String) -> Unit, token: (Int) -> Unit) {
        var done = 0
        var at = 0
        while (at < text.length) {
            val (id, end) = longest(text, at)
            if (id == NONE) {
                at++
                continue
            }
            if (done < at) stretch(text.substring(done, at))
            token(id)
            at = end
            done = end
        }
        if (done < text.length) stretch(text.substring(done))
    }

    private fun longest(text: String, begin: Int): Pair<Int, Int> {
        var found = MISSED
        var node = 0
        for (at in begin until text.length) {
            node = edges[edge(node, text[at])] ?: break
            if (ends[node] != NONE) found = Pair(ends[node], at + 1)
        }
        return found
    }

    private fun edge(node: Int, c: Char): Long = (node.toLong() shl 16) or c.code.toLong()

    private companion object {
        const val NONE = -1
        val MISSED = Pair(NONE, 0)
    }
}
