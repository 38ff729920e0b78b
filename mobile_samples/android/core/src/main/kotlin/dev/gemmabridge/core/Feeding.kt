package dev.gemmabridge.core

/** A token by its id, and how the tokenizer writes it; [text] is null where the tokenizer has none of this id. */
data class NamedToken(val id: Int, val text: String?)

/** How a token is drawn. */
data class SamplerSettings(val topK: Int, val topP: Double, val temperature: Double)

/**
 * The part `feeding` of a manifest, as far as an app with an engine needs it: `MANIFEST.md`.
 *
 * @property stops each of them ends an answer.
 * @property suppressed ids that are never drawn.
 * @property thought what stands around a model's thoughts; null when it has none.
 * @property roles by the checkpoint's own names; `sot_token` and `eot_token` begin and end a turn.
 * @property sampler null: the best token, every time.
 * @property images how large a picture the model looks at; null where it takes none.
 */
class Feeding private constructor(
    val start: NamedToken,
    val pad: NamedToken,
    val stops: List<NamedToken>,
    val suppressed: Set<Int>,
    val thought: Pair<NamedToken, NamedToken>?,
    val roles: Map<String, NamedToken>,
    val sampler: SamplerSettings?,
    val images: Images?,
) {
    companion object {
        /**
         * Reads the part.
         *
         * @throws RefusedException it does not fit, or the model is one whose calls an app has to make itself.
         */
        fun read(fields: Fields): Feeding {
            if (fields.has("calls")) {
                throw RefusedException("manifest.feeding.calls is for an app that makes the calls; here the engine does")
            }
            val tokens = fields.child("tokens")
            val stops = tokens.children("stops").map { token(it) }
            if (stops.isEmpty()) throw RefusedException("manifest.feeding.tokens.stops is empty: no answer would end")
            val roles = tokens.child("roles")
            return Feeding(
                start = token(tokens.child("start")),
                pad = token(tokens.child("pad")),
                stops = stops,
                suppressed = tokens.integers("suppressed").toSet(),
                thought = if (tokens.has("thought")) thought(tokens.child("thought")) else null,
                roles = roles.keys().associateWith { token(roles.child(it)) },
                sampler = sampler(fields.child("sampler")),
                images = Images.read(fields),
            )
        }

        private fun thought(fields: Fields) = Pair(token(fields.child("begin")), token(fields.child("end")))

        internal fun token(fields: Fields) = NamedToken(index(fields, "id", 0), fields.textOrNull("text"))

        private fun sampler(fields: Fields): SamplerSettings? {
            if (!fields.flag("sample")) return null
            val topP = fields.number("top_p")
            val temperature = fields.number("temperature")
            if (topP <= 0 || topP > 1) throw RefusedException("manifest.feeding.sampler.top_p is $topP")
            if (temperature <= 0) throw RefusedException("manifest.feeding.sampler.temperature is $temperature")
            return SamplerSettings(index(fields, "top_k", 1), topP, temperature)
        }

        private fun index(fields: Fields, key: String, least: Int): Int {
            val value = fields.integer(key)
            if (value !in least..Int.MAX_VALUE) throw RefusedException("manifest.feeding: $key is $value")
            return value.toInt()
        }
    }
}
