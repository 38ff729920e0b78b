package dev.gemmabridge.ort.template

import dev.gemmabridge.core.Json
import dev.gemmabridge.core.RefusedException
import java.util.Locale

/** Filters and tests, by the names that templates call them. */
internal object Filters {
    val filters: Map<String, (Any?, Given) -> Any?> = mapOf(
        "trim" to { value, given -> Methods.strip(Values.text(value), given, true, true) },
        "upper" to { value, _ -> Values.text(value).uppercase(Locale.ROOT) },
        "lower" to { value, _ -> Values.text(value).lowercase(Locale.ROOT) },
        "string" to { value, _ -> Values.text(value) },
        "length" to { value, _ -> Values.length(value) },
        "count" to { value, _ -> Values.length(value) },
        "default" to ::default,
        "d" to ::default,
        "list" to { value, _ -> Values.items(value) },
        "first" to { value, _ -> Values.items(value).let { if (it.isEmpty()) Undefined("the first") else it[0] } },
        "last" to { value, _ -> Values.items(value).let { if (it.isEmpty()) Undefined("the last") else it.last() } },
        "join" to { value, given -> Values.items(value).joinToString(Values.text(given.only(1).value(0, "d", ""))) { Values.text(it) } },
        "replace" to { value, given -> Values.text(value).replace(given.only(2).values[0] as String, given.values[1] as String) },
        "items" to { value, _ -> (value as? Map<*, *>).orEmpty().entries.map { listOf(it.key, it.value) } },
        "dictsort" to { value, given -> sorted(value, given.only(0)) },
        "map" to ::mapped,
        "tojson" to { value, given -> json(value, given.only(0, "ensure_ascii").value(0, "ensure_ascii", false)) },
    )

    val tests: Map<String, (Any?, Given) -> Boolean> = mapOf(
        "defined" to { value, _ -> value !is Undefined },
        "undefined" to { value, _ -> value is Undefined },
        "none" to { value, _ -> value == null },
        "boolean" to { value, _ -> value is Boolean },
        "true" to { value, _ -> value == true },
        "false" to { value, _ -> value == false },
        "string" to { value, _ -> value is String },
        "mapping" to { value, _ -> value is Map<*, *> },
        "number" to { value, _ -> value is Long || value is Double || value is Boolean },
        "integer" to { value, _ -> value is Long },
        "float" to { value, _ -> value is Double },
        // What has a length and members by number; of an unknown value Jinja says yes.
        "sequence" to { value, _ -> value is String || value is List<*> || value is Map<*, *> || value is Undefined },
        "iterable" to { value, _ -> value is String || value is List<*> || value is Map<*, *> || value is Undefined },
    )

    private fun default(value: Any?, given: Given): Any? {
        given.only(2, "default_value", "boolean")
        val empty = value is Undefined || (Values.truth(given.value(1, "boolean", false)) && !Values.truth(value))
        return if (empty) given.value(0, "default_value", "") else value
    }

    /** By key, whatever the case of its letters. */
    private fun sorted(value: Any?, @Suppress("UNUSED_PARAMETER") given: Given): List<Any?> {
        val map = value as? Map<*, *> ?: throw RefusedException("${Values.kind(value)} is no mapping to sort")
        return map.entries.map { listOf(it.key, it.value) }.sortedWith { one, other ->
            Operators.order((one[0] as String).lowercase(Locale.ROOT), (other[0] as String).lowercase(Locale.ROOT))
        }
    }

    private fun mapped(value: Any?, given: Given): Once {
        given.only(1, "attribute", "default")
        val attribute = given.named["attribute"]
        if (attribute != null) {
            val member = { one: Any? -> Operators.attribute(one, attribute as String) }
            val known = { one: Any? -> member(one).let { if (it is Undefined && "default" in given.named) given.named["default"] else it } }
            return Once(Values.items(value).map(known))
        }
        val filter = filters[given.values.firstOrNull()] ?: throw RefusedException("map by ${given.values} is not known to this app")
        return Once(Values.items(value).map { filter(it, Given(emptyList())) })
    }

    /** As Python's `json.dumps` writes it. */
    private fun json(value: Any?, ascii: Any?): String = when (value) {
        null -> "null"
        is Boolean, is Long -> value.toString()
        is Double -> Numbers.text(value)
        is String -> quoted(value, Values.truth(ascii))
        is List<*> -> value.joinToString(", ", "[", "]") { json(it, ascii) }
        is Map<*, *> -> value.entries.joinToString(", ", "{", "}") {
            quoted(it.key as String, Values.truth(ascii)) + ": " + json(it.value, ascii)
        }
        else -> throw RefusedException("${Values.kind(value)} cannot be written as JSON")
    }

    private fun quoted(text: String, ascii: Boolean): String {
        val out = StringBuilder("\"")
        for (c in text) {
            when (c) {
                '"' -> out.append("\\\"")
                '\\' -> out.append("\\\\")
                '\n' -> out.append("\\n")
                '\r' -> out.append("\\r")
                '\t' -> out.append("\\t")
                '\b' -> out.append("\\b")
                '\u000c' -> out.append("\\f")
                else -> if (c < ' ' || (ascii && c > '~')) out.append(Json.quote("$c").drop(1).dropLast(1)) else out.append(c)
            }
        }
        return out.append('"').toString()
    }
}
