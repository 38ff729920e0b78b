package dev.gemmabridge.ort.template

import dev.gemmabridge.core.RefusedException
import java.util.Locale

/** Methods of texts and mappings, and the functions that every template has. */
internal object Methods {
    val functions: Map<String, Callable> = mapOf(
        "range" to Callable { given ->
            val ends = given.only(2).values.map { Operators.whole(it) }
            val (from, to) = if (ends.size == 2) Pair(ends[0], ends[1]) else Pair(0L, ends[0])
            if (to - from > MOST) throw RefusedException("a range of ${to - from} numbers; $MOST are allowed")
            (from until to).toList()
        },
        "namespace" to Callable { Namespace(named(it)) },
        "dict" to Callable { named(it) },
        "raise_exception" to Callable { throw Raised(Values.text(it.values.firstOrNull())) },
    )

    private fun named(given: Given): MutableMap<String, Any?> {
        if (given.values.isNotEmpty()) throw RefusedException("an argument without a name is not known to this app here")
        return LinkedHashMap(given.named.mapKeys { Operators.open(it.key) })
    }

    /** A method that a value is asked for by name; null where it has none of this name. */
    fun of(value: Any?, name: String): Callable? = when (value) {
        is String -> texts[name]?.let { method -> Callable { method(value, it) } }
        is Map<*, *> -> mappings[name]?.let { method -> Callable { method(value, it) } }
        else -> null
    }

    private val texts: Map<String, (String, Given) -> Any?> = mapOf(
        "strip" to { text, given -> strip(text, given, true, true) },
        "lstrip" to { text, given -> strip(text, given, true, false) },
        "rstrip" to { text, given -> strip(text, given, false, true) },
        "upper" to { text, _ -> text.uppercase(Locale.ROOT) },
        "lower" to { text, _ -> text.lowercase(Locale.ROOT) },
        "startswith" to { text, given -> text.startsWith(word(given)) },
        "endswith" to { text, given -> text.endsWith(word(given)) },
        "replace" to { text, given -> text.replace(given.only(2).values[0] as String, given.values[1] as String) },
        "split" to { text, given -> split(text, given.only(1, "sep")) },
        "join" to { text, given -> Values.items(given.only(1).values[0]).joinToString(text) { it as String } },
    )

    private val mappings: Map<String, (Map<*, *>, Given) -> Any?> = mapOf(
        "get" to { map, given -> given.only(2).let { if (it.values[0] in map) map[it.values[0]] else it.value(1, "default") } },
        "items" to { map, _ -> map.entries.map { listOf(it.key, it.value) } },
        "keys" to { map, _ -> map.keys.toList() },
        "values" to { map, _ -> map.values.toList() },
    )

    fun strip(text: String, given: Given, left: Boolean, right: Boolean): String {
        val chosen = given.only(1, "chars").value(0, "chars") as String?
        val goes = { c: Char -> if (chosen == null) Values.blank(c) else c in chosen }
        var out = text
        if (left) out = out.trimStart(goes)
        if (right) out = out.trimEnd(goes)
        return out
    }

    private fun word(given: Given) = given.only(1).values[0] as? String ?: throw RefusedException("a text is needed")

    private fun split(text: String, given: Given): List<String> {
        val by = given.value(0, "sep") as String?
        if (by != null) return text.split(by)
        return text.split(*BLANKS).filter { it.isNotEmpty() }
    }

    private val BLANKS: CharArray = (0..0xFFFF).map { it.toChar() }.filter { Values.blank(it) }.toCharArray()
    private const val MOST = 100_000L
}
