package dev.gemmabridge.core

/**
 * What stands around a picture in a conversation, from `feeding.images.around` of a manifest.
 *
 * @property each the token that the chat template prints once for a picture.
 */
data class Around(val begin: NamedToken, val each: NamedToken, val end: NamedToken) {
    /**
     * The tokens with [begin], one [each] for every token of a picture and [end], where the template prints one [each].
     *
     * @param tokens that each picture becomes, in their order.
     * @throws EngineException the text has other places for pictures.
     */
    fun spread(ids: IntArray, tokens: List<Int>): IntArray {
        val places = ids.count { it == each.id }
        if (places != tokens.size) {
            throw EngineException("the text has $places places for pictures, and there are ${tokens.size} pictures")
        }
        val left = tokens.iterator()
        return ids.flatMap { id ->
            if (id == each.id) listOf(begin.id) + List(left.next()) { id } + end.id else listOf(id)
        }.toIntArray()
    }
}
