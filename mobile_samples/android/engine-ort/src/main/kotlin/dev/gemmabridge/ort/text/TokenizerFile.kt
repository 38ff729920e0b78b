package dev.gemmabridge.ort.text

import dev.gemmabridge.core.Fields
import dev.gemmabridge.core.Json
import dev.gemmabridge.core.RefusedException
import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.channels.FileChannel

/**
 * What a `tokenizer.json` of Gemma's says, checked. A member or a setting that this reader does not know is refused,
 * not passed over: other tokens than the model's would be text without a meaning.
 *
 * @property added ids of the added tokens by their text; all are looked for in the text as it is.
 * @property special tokens that are no text.
 * @property texts how each token is spelled, by id; null where there is none.
 * @property split the text at whose ends a text is cut into stretches; null for one stretch.
 */
internal class TokenizerFile private constructor(
    val model: BytePairs,
    val added: Map<String, Int>,
    val special: Set<Int>,
    val texts: List<String?>,
    val split: String?,
    private val normalizer: List<Pair<String, String>>,
    private val decoder: List<Pair<String, String>>,
) {
    fun normalized(text: String): String = normalizer.fold(text) { it, (old, new) -> it.replace(old, new) }

    fun decoded(piece: String): String = decoder.fold(piece) { it, (old, new) -> it.replace(old, new) }

    companion object {
        private const val MOST_BYTES = 256L shl 20
        private val PARTS = setOf("version", "truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
        private val FLAGS = listOf("single_word", "lstrip", "rstrip", "normalized")

        /** @throws RefusedException in one line that begins with the file's name. */
        fun read(file: File): TokenizerFile = try {
            RandomAccessFile(file, "r").use { open ->
                if (open.length() > MOST_BYTES) throw RefusedException("${open.length()} bytes; $MOST_BYTES are allowed")
                parse(JsonStream(open.channel.map(FileChannel.MapMode.READ_ONLY, 0, open.length())))
            }
        } catch (error: IOException) {
            throw RefusedException("${file.name} cannot be read: ${error.message}", error)
        } catch (error: RefusedException) {
            throw RefusedException("${file.name}: ${error.message}", error)
        }

        private fun parse(json: JsonStream): TokenizerFile {
            val parts = HashMap<String, Any?>()
            val tokens = ArrayList<Any?>()
            val model = ModelReader()
            var found = false
            json.members { key ->
                when (key) {
                    in PARTS -> parts[key] = json.value()
                    "added_tokens" -> json.elements { tokens.add(json.value()) }
                    "model" -> model.read(json).also { found = true }
                    else -> throw RefusedException("${Json.quote(key)} is not known to this app")
                }
            }
            json.end()
            if (parts["version"] != "1.0") throw RefusedException("the version is not \"1.0\"")
            for (key in listOf("truncation", "padding")) {
                if (parts[key] != null) throw RefusedException("$key is set; this app knows none")
            }
            if (!found) throw RefusedException("there is no model")
            val pairs = model.model()
            val texts = ArrayList<String?>(List(pairs.pieces.values.maxOrNull()!! + 1) { null })
            for ((piece, id) in pairs.pieces) texts[id] = piece
            val added = LinkedHashMap<String, Int>()
            val special = HashSet<Int>()
            tokens.forEachIndexed { i, entry -> add(TokenizerParts.fields(entry, "added_tokens[$i]"), pairs, added, special, texts) }
            TokenizerParts.checkPostProcessor(parts["post_processor"])
            return TokenizerFile(
                pairs,
                added,
                special,
                texts,
                TokenizerParts.preTokenizer(parts["pre_tokenizer"]),
                TokenizerParts.normalizer(parts["normalizer"]),
                TokenizerParts.decoder(parts["decoder"]),
            )
        }

        private fun add(
            fields: Fields,
            model: BytePairs,
            added: MutableMap<String, Int>,
            special: MutableSet<Int>,
            texts: MutableList<String?>,
        ) {
            TokenizerParts.only(fields, listOf("id", "content", "special") + FLAGS)
            val content = fields.text("content")
            for (flag in FLAGS) {
                if (fields.flag(flag)) throw RefusedException("the added token ${Json.quote(content)} has $flag; this app knows none")
            }
            if (content.isEmpty()) throw RefusedException("an added token is empty")
            // A token that the model has not gets the next number: a file that says otherwise is read otherwise by the
            // library, which does not tell.
            val right = model.pieces[content] ?: texts.size
            if (fields.integer("id") != right.toLong()) {
                throw RefusedException("the added token ${Json.quote(content)} has the id ${fields.integer("id")}; it is token $right")
            }
            if (added.put(content, right) != null) throw RefusedException("the added token ${Json.quote(content)} comes twice")
            if (right == texts.size) texts.add(content)
            if (fields.flag("special")) special.add(right)
        }
    }
}
