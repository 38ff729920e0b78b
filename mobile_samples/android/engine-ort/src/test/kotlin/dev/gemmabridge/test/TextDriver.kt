package dev.gemmabridge.test

import dev.gemmabridge.core.Json
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.core.Turn
import dev.gemmabridge.ort.Sampler
import dev.gemmabridge.ort.template.ChatTemplate
import dev.gemmabridge.ort.text.StreamDecoder
import dev.gemmabridge.ort.text.Tokenizer
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Reads tokenizers and templates for a test: one JSON object a line on standard input, `do` and what that needs; many
 * values come from the file `given` and go to the file `told`, a line each. Answers each object with a line.
 */
fun main() {
    val driver = TextDriver()
    for (line in generateSequence(::readlnOrNull)) {
        val answer = try {
            driver.run(Json.parse(line) as Map<*, *>)
        } catch (error: RefusedException) {
            mapOf("error" to error.message)
        }
        println(Json.write(answer))
        System.out.flush()
    }
}

private class TextDriver {
    private lateinit var tokenizer: Tokenizer
    private lateinit var template: ChatTemplate

    fun run(asked: Map<*, *>): Map<String, Any?> {
        val began = System.nanoTime()
        when (val what = asked["do"]) {
            "tokenizer" -> tokenizer = Tokenizer.read(File(asked["file"] as String))
            "encode" -> each(asked) { tokenizer.encode(it as String).map { id -> id.toLong() } }
            "decode" -> each(asked) { decoded((it as List<*>).map { id -> (id as Long).toInt() }, asked["skip"] as Boolean) }
            "template" -> template = ChatTemplate(asked["source"] as String)
            "render" -> each(asked) { rendered(it as Map<*, *>) }
            "draw" -> return mapOf("tokens" to draw(asked))
            else -> throw RefusedException("there is no $what")
        }
        val count = if (asked["do"] == "tokenizer") tokenizer.count.toLong() else 0L
        return mapOf("count" to count, "seconds" to (System.nanoTime() - began) / 1e9)
    }

    private fun each(asked: Map<*, *>, action: (Any?) -> Any?) {
        File(asked["told"] as String).bufferedWriter().use { out ->
            File(asked["given"] as String).forEachLine { out.append(Json.write(action(Json.parse(it)))).append('\n') }
        }
    }

    /** The text of all tokens, and the pieces as they came one by one. */
    private fun decoded(tokens: List<Int>, skip: Boolean): List<Any?> {
        val stream = StreamDecoder(tokenizer, skip)
        return listOf(tokenizer.decode(tokens.toIntArray(), skip), tokens.map { stream.push(it) } + stream.finish())
    }

    @Suppress("UNCHECKED_CAST")
    private fun rendered(given: Map<*, *>): Map<String, Any?> = try {
        given["source"]?.let { template = ChatTemplate(it as String) } // a template for each line
        val turns = given["turns"] as List<Map<String, Any>>?
        val text = if (turns == null) {
            template.render(given["variables"] as Map<String, Any?>)
        } else {
            val said = turns.map { turn ->
                val pictures = List(((turn["pictures"] ?: 0L) as Long).toInt()) { "$it.ppm" }
                Turn(Role.values().first { it.wire == turn["role"] }, turn["content"] as String, pictures = pictures)
            }
            template.render(said, "<bos>", given["thinking"] as Boolean)
        }
        mapOf("text" to text)
    } catch (error: RefusedException) {
        mapOf("error" to error.message)
    }

    private fun draw(asked: Map<*, *>): List<Any?> {
        val floats = ByteBuffer.wrap(File(asked["file"] as String).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        val sampling = Sampling(
            (asked["top_k"] as Long).toInt(),
            (asked["top_p"] as Double).toFloat(),
            (asked["temperature"] as Double).toFloat(),
            (asked["seed"] as Long).toInt(),
        )
        val suppressed = (asked["suppressed"] as List<*>).map { (it as Long).toInt() }.toSet()
        val sampler = Sampler(sampling, suppressed)
        val row = FloatArray((asked["vocabulary"] as Long).toInt())
        return List(floats.capacity() / row.size) {
            floats.get(row)
            sampler.draw(row)?.toLong()
        }
    }
}
