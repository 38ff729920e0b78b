package dev.gemmabridge.ort.text

import dev.gemmabridge.core.Json
import dev.gemmabridge.core.RefusedException

/** Reads the `model` of a `tokenizer.json`: two large tables, which never become a tree of JSON. */
internal class ModelReader {
    private val settings = HashMap<String, Any?>()
    private val pieces = HashMap<String, Int>()
    private val ids = HashSet<Int>()
    private var hasMerges = false

    /** The left and the right piece of each merge, one after the other: the vocabulary may come later. */
    private val merges = ArrayList<String>()

    fun read(json: JsonStream) = json.members { key ->
        when (key) {
            "vocab" -> json.members(unique = false) { piece -> add(piece, json.integer()) }
            "merges" -> {
                hasMerges = true
                json.elements { merge(json) }
            }
            in SETTINGS -> settings[key] = json.value()
            else -> throw RefusedException("model.$key is not known to this app")
        }
    }

    /** The model, its merges found in its vocabulary. */
    fun model(): BytePairs {
        for ((key, allowed) in SETTINGS) {
            if (settings[key] !in allowed) {
                throw RefusedException("model.$key is ${Json.write(settings[key])}; this app knows ${Json.write(allowed.last())}")
            }
        }
        if (pieces.isEmpty()) throw RefusedException("model.vocab is missing or empty")
        if (!hasMerges) throw RefusedException("model.merges is missing")
        val unknown = settings["unk_token"]
        if (unknown != null && unknown !in pieces) throw RefusedException("model.unk_token ${Json.write(unknown)} is not in the vocabulary")
        val bytes = IntArray(BYTES) { byte ->
            val text = "<0x${byte.toString(16).uppercase().padStart(2, '0')}>"
            pieces[text] ?: throw RefusedException("model.vocab lacks $text: this app knows vocabularies with all bytes")
        }
        val ranks = PairTable(merges.size / 2)
        val made = IntArray(merges.size / 2) { i ->
            val left = merges[2 * i]
            val right = merges[2 * i + 1]
            ranks[PairTable.pair(id(left, i), id(right, i))] = i
            id(left + right, i)
        }
        return BytePairs(pieces, ranks, made, bytes)
    }

    private fun id(piece: String, merge: Int) = pieces[piece]
        ?: throw RefusedException("model.merges[$merge] needs ${shown(piece)}, which the vocabulary lacks")

    private fun add(piece: String, id: Long) {
        if (id !in 0 until MOST) throw RefusedException("model.vocab gives ${shown(piece)} the id $id; 0 to ${MOST - 1} are allowed")
        if (pieces.put(piece, id.toInt()) != null || !ids.add(id.toInt())) {
            throw RefusedException("model.vocab has ${shown(piece)} or its id $id twice")
        }
    }

    /** A pair, or a line of two pieces as older files have it. */
    private fun merge(json: JsonStream) {
        val parts = ArrayList<String>(2)
        if (json.peek() == '[') json.elements { parts.add(json.text()) } else parts.addAll(json.text().split(' '))
        if (parts.size != 2) json.wrong("a merge of ${parts.size} pieces instead of 2")
        merges.addAll(parts)
    }

    private fun shown(piece: String) = Json.quote(piece.take(40))

    private companion object {
        const val BYTES = 256
        const val MOST = 1L shl 22

        /** The values that each setting may have; null where it is not there. */
        val SETTINGS: Map<String, List<Any?>> = mapOf(
            "type" to listOf("BPE"),
            "dropout" to listOf(0.0, null),
            "unk_token" to listOf(null, "<unk>"),
            "continuing_subword_prefix" to listOf("", null),
            "end_of_word_suffix" to listOf("", null),
            // What no piece spells is bytes, so nothing is unknown, fused or not.
            "fuse_unk" to listOf(null, false, true),
            "byte_fallback" to listOf(true),
            "ignore_merges" to listOf(null, false),
        )
    }
}
