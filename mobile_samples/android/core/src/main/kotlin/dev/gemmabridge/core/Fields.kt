package dev.gemmabridge.core

/**
 * The members of a JSON object, by type; [where] is its path in the document, for messages.
 *
 * Every getter throws [RefusedException] where the member is missing or of another type.
 */
class Fields(private val members: Map<*, *>, private val where: String) {
    fun text(key: String): String = get(key, "a text")

    fun integer(key: String): Long = get(key, "an integer")

    fun number(key: String): Double = get<Number>(key, "a number").toDouble()

    fun flag(key: String): Boolean = get(key, "true or false")

    /** The member is there and not null. */
    fun has(key: String): Boolean = members[key] != null

    fun child(key: String): Fields = Fields(get<Map<*, *>>(key, "an object"), "$where.$key")

    fun textOrNull(key: String): String? = if (members[key] == null) null else text(key)

    /** Null where the member is; it is there in any case. */
    fun childOrNull(key: String): Fields? = if (isNull(key)) null else child(key)

    /** Null where the member is; it is there in any case. */
    fun countOrNull(key: String): Long? = if (isNull(key)) null else count(key)

    fun keys(): List<String> = members.keys.map { it as String }

    /** A size in bytes or a count: not negative. */
    fun count(key: String): Long {
        val value = integer(key)
        if (value < 0) refuse(key, "is $value; 0 or more is allowed")
        return value
    }

    /** 64 lower-case hex digits. */
    fun sha256(key: String): String {
        val value = text(key)
        if (!DIGEST.matches(value)) refuse(key, "is no SHA-256: 64 lower-case hex digits")
        return value
    }

    fun integers(key: String): IntArray {
        val list = list(key)
        return IntArray(list.size) {
            val value = list[it]
            if (value !is Long || value !in Int.MIN_VALUE..Int.MAX_VALUE) refuse(key, "[$it] is no 32-bit integer")
            value.toInt()
        }
    }

    fun texts(key: String): List<String> = list(key).mapIndexed { i, value -> value as? String ?: refuse(key, "[$i] is no text") }

    fun numbers(key: String): DoubleArray {
        val list = list(key)
        return DoubleArray(list.size) { (list[it] as? Number ?: refuse(key, "[$it] is no number")).toDouble() }
    }

    fun children(key: String): List<Fields> = list(key).mapIndexed { i, value ->
        Fields(value as? Map<*, *> ?: refuse(key, "[$i] is no object"), "$where.$key[$i]")
    }

    private fun isNull(key: String) = members.containsKey(key) && members[key] == null

    private fun list(key: String): List<*> = get(key, "an array")

    private inline fun <reified T> get(key: String, what: String): T =
        members[key] as? T ?: refuse(key, if (members.containsKey(key)) "is not $what" else "is missing")

    private fun refuse(key: String, what: String): Nothing = throw RefusedException("$where.$key $what")

    companion object {
        private val DIGEST = Regex("[0-9a-f]{64}")

        /** The document's outermost object. */
        fun of(json: String, name: String): Fields =
            Fields(Json.parse(json) as? Map<*, *> ?: throw RefusedException("$name is no JSON object"), name)
    }
}
