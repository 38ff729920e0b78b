package dev.gemmabridge.test

import ai.onnxruntime.Pipe
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.ContextFullException
import dev.gemmabridge.core.Conversation
import dev.gemmabridge.core.Cut
import dev.gemmabridge.core.Ending
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Extent
import dev.gemmabridge.core.Images
import dev.gemmabridge.core.Json
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.Pixels
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Runtime
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Turn
import dev.gemmabridge.ort.Cache
import dev.gemmabridge.ort.Drawing
import dev.gemmabridge.ort.OrtEngine
import dev.gemmabridge.ort.OrtEngineFactory
import dev.gemmabridge.sample.Card
import dev.gemmabridge.sample.Presenter
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs

private val GREEDY = SessionSettings(sampling = Sampling.GREEDY)

private fun opened(bundle: File): OrtEngine {
    val manifest = Manifest.parse(File(bundle, "manifest.json").readBytes())
    val settings = EngineSettings(File(bundle, "model.onnx").path, bundle.path, threads = 1)
    return OrtEngineFactory(manifest).open(settings, Backend.CPU) as OrtEngine
}

private fun floats(file: File): List<Float> {
    val read = ByteBuffer.wrap(file.readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
    return List(read.remaining()) { read.get(it) }
}

private fun longs(file: File): List<Long> {
    val read = ByteBuffer.wrap(file.readBytes()).order(ByteOrder.LITTLE_ENDIAN).asLongBuffer()
    return List(read.remaining()) { read.get(it) }
}

private fun ids(of: Any?): List<Int> = (of as List<*>).map { (it as Long).toInt() }

private fun names(of: Any?): List<String> = (of as List<*>).map { it as String }

/** What an app tells that loads this bundle and shows it a picture, then goes on without one. */
private fun looked(bundle: File, picture: File): String {
    val said = try {
        val engine = opened(bundle)
        val talk = Conversation(engine, null, GREEDY)
        try {
            talk.say("What shape is it?", pictures = listOf(picture.path)) {}.text
        } catch (error: EngineException) {
            "AT THE PICTURE: ${error.message}; then: ${talk.say("What is 12 + 72?") {}.text}"
        } finally {
            talk.close()
            engine.close()
        }
    } catch (error: RefusedException) {
        "REFUSED: ${error.message}"
    } catch (error: EngineException) {
        "AT THE LOADING: ${error.message}"
    }
    same(0L, Pipe.open())
    return said
}

/** The prompts of the tests, with pictures that may be cut wrongly. */
private class Looks(private val engine: OrtEngine, private val folder: File) {
    val images: Images = engine.feeding.images!!

    fun pixels(name: String): Pixels = Pixels.read(File(folder, "$name.ppm"))

    fun rows(name: String, spoilt: (Cut, Extent) -> Cut = { cut, _ -> cut }): FloatArray {
        val pixels = pixels(name)
        return engine.graphs.see(spoilt(images.cutting!!.cut(pixels), pixels.size), images.count(pixels.size))
    }

    /** Tokens of a greedy answer. */
    fun answer(ids: List<Int>, rows: FloatArray, most: Int = 8): List<Int> = Cache(engine.graphs).use { cache ->
        val drawing = Drawing(engine.feeding, engine.tokenizer, Sampling.GREEDY)
        val out = ArrayList<Int>()
        var logits = cache.read(ids.toIntArray(), rows)!!
        while (out.size < most) {
            val token = drawing.next(logits) ?: break
            out.add(token)
            logits = cache.step(token)!!
        }
        out
    }
}

private fun Cut.patched(change: (Int) -> Int) = Cut(count, FloatArray(patches.size) { patches[change(it)] }, positions)

private val SPOILT = mapOf<String, (Cut, Extent) -> Cut>(
    "columns and rows exchanged" to { cut, _ -> Cut(cut.count, cut.patches, LongArray(cut.positions.size) { cut.positions[it xor 1] }) },
    "blue before red" to { cut, _ -> cut.patched { it / 3 * 3 + 2 - it % 3 } },
    "colours in planes" to { cut, _ -> (cut.patches.size / cut.count).let { n -> cut.patched { it / n * n + it % n / (n / 3) + it % n % (n / 3) * 3 } } },
)

/**
 * Pictures in the engine, on a bundle of the demo. The arguments: the bundle, a file with what Python's loop says to
 * conversations, a folder of pictures with what Python cuts of them, a folder with bundles that have a fault each.
 */
fun main(arguments: Array<String>) {
    val bundle = File(arguments[0])
    val expected = Json.parse(File(arguments[1]).readText()) as Map<*, *>
    val folder = File(arguments[2])
    with(Suite()) {
        val engine = opened(bundle)
        val held = Pipe.open()
        val looks = Looks(engine, folder)
        for (name in names(expected["pictures"])) resized(File(folder, "$name.png"), looks.images).write(File(folder, "$name.ppm"))
        val path = { name: String -> File(folder, "$name.ppm").path }
        case("the graph for pictures is loaded when the first one comes") {
            engine.start(GREEDY).use { it.send("What is 12 + 72?") {} }
            same(held, Pipe.open())
            looks.rows("shapes")
            same(held + 1, Pipe.open())
            looks.rows("shapes")
            same(held + 1, Pipe.open())
        }
        case("a picture is cut into Python's patches and becomes Python's rows, to the bit") {
            for (name in names(expected["pictures"])) {
                val cut = looks.images.cutting!!.cut(looks.pixels(name))
                same(longs(File(folder, "$name.positions")), cut.positions.toList())
                holds(floats(File(folder, "$name.patches")) == cut.patches.toList()) { "$name: other patches" }
                holds(floats(File(folder, "$name.rows")) == looks.rows(name).toList()) { "$name: other rows" }
            }
        }
        case("conversations with pictures are read and answered as Python's loop does, turn after turn") {
            for (conversation in expected["conversations"] as List<*>) {
                val said = ArrayList<Turn>()
                engine.start(GREEDY).use { session ->
                    for (turn in (conversation as List<*>).map { it as Map<*, *> }) {
                        val shown = names(turn["pictures"])
                        said.add(Turn(Role.USER, turn["question"] as String, pictures = shown.map(path)))
                        val counts = said.flatMap { it.pictures }.map { looks.images.count(Pixels.read(File(it)).size) }
                        same(ids(turn["ids"]), engine.prompt(said, false, counts).toList())
                        val answer = session.send(said.last().text, said.last().pictures) {}
                        same(turn["answer"], answer.text)
                        same(Ending.DONE, answer.ending)
                        same((turn["tokens"] as List<*>).size, answer.speed!!.tokens)
                        said.add(Turn(Role.ASSISTANT, answer.text))
                    }
                }
            }
            same(held + 1, Pipe.open())
        }
        case("a picture behind the words is answered as Python's loop does") {
            val behind = expected["behind"] as Map<*, *>
            same(ids(behind["tokens"]), looks.answer(ids(behind["ids"]), looks.rows(behind["picture"] as String)))
        }
        case("where a conversation goes on, another picture in the same place is read anew, and the same one is kept") {
            val turns = (expected["conversations"] as List<*>).map { it as List<*> }.first { it.size > 2 }.map { it as Map<*, *> }
            val (first, second) = turns.map { ids(it["ids"]).toIntArray() }
            val (one, other) = Pair(looks.rows("shapes"), looks.rows("digit"))
            val fresh = { rows: FloatArray -> Cache(engine.graphs).use { it.read(second, rows)!! } }
            val alike = { some: FloatArray, more: FloatArray -> some.indices.all { abs(some[it] - more[it]) < 1e-3f * some.maxOf { x -> abs(x) } } }
            same(false, alike(fresh(one), fresh(other)))
            for (before in listOf(one, other)) {
                for (after in listOf(one, other)) {
                    Cache(engine.graphs).use { kept ->
                        kept.read(first, before)
                        holds(alike(fresh(after), kept.read(second, after)!!)) { "other logits than of a fresh cache" }
                    }
                }
            }
        }
        case("a picture that is cut wrongly, or whose rows stand elsewhere, is answered otherwise") {
            val looked = (expected["conversations"] as List<*>).map { (it as List<*>)[0] as Map<*, *> }.filter { names(it["pictures"]).size == 1 }
            val answers = { made: (String) -> FloatArray -> looked.map { looks.answer(ids(it["ids"]), made(names(it["pictures"])[0])) } }
            val right = answers { looks.rows(it) }
            same(looked.map { ids(it["tokens"]) }, right)
            for ((fault, spoilt) in SPOILT) holds(answers { looks.rows(it, spoilt) } != right) { "$fault: the same answers" }
            val width = engine.graphs.width
            val turned = answers { name -> looks.rows(name).let { rows -> FloatArray(rows.size) { rows[(it + width * 29) % rows.size] } } }
            holds(turned != right) { "rows elsewhere: the same answers" }
        }
        case("pictures that do not fit the context are told in a line, and the conversation goes on") {
            Conversation(engine, null, GREEDY).use { talk ->
                val many = List(5) { path("shapes") }
                val error = failsWith<ContextFullException>("tokens, 320 of them of pictures, do not fit a context of 320") { talk.say("What?", pictures = many) {} }
                same(false, '\n' in error.message!!)
                same("84", talk.say("What is 12 + 72?") {}.text)
            }
        }
        case("what is no picture for the model is told in a line, and the conversation goes on") {
            val small = File(folder, "small.ppm")
            Pixels(Extent(47, 48), ByteArray(3 * 47 * 48)).write(small)
            Conversation(engine, null, GREEDY).use { talk ->
                for ((file, words) in listOf(
                    Pair("gone.ppm", "gone.ppm cannot be read"),
                    Pair("shapes.png", "shapes.png holds no pixels"),
                    Pair("small.ppm", "a picture has 47 x 48 pixels; the model looks at multiples of 48 that make 1 to 70 tokens"),
                )) {
                    failsWith<EngineException>(words) { talk.say("What shape is it?", pictures = listOf(File(folder, file).path)) {} }
                }
                val turn = ((expected["conversations"] as List<*>)[0] as List<*>)[0] as Map<*, *>
                same(turn["answer"], talk.say(turn["question"] as String, pictures = names(turn["pictures"]).map(path)) {}.text)
            }
        }
        case("the word for a picture in a message shows none, and a prompt with places and no pictures is refused") {
            val each = looks.images.cutting!!.around.each
            holds(engine.start(GREEDY).use { it.send("What is ${each.text}?") {} }.text.isNotEmpty())
            failsWith<EngineException>("1 places for rows of pictures, and the pictures have 0") { engine.complete("a ${each.text}", 1) }
        }
        case("the token of a picture is never drawn") {
            val logits = FloatArray(1280).also { it[looks.images.cutting!!.around.each.id] = 9f }
            logits[300] = 1f
            same(300, Drawing(engine.feeding, engine.tokenizer, Sampling.GREEDY).next(logits))
        }
        case("the app takes a picture, asks about it, and forgets it") {
            val device = Handheld(bundle, File(folder, "device").apply { mkdirs() })
            val presenter = Presenter(device, { OrtEngineFactory(it.madeFor(Runtime.ONNX)) }, "") {}
            val end = System.nanoTime() + 60_000_000_000
            val until = { done: () -> Boolean ->
                while (!done()) {
                    val well = presenter.screen.card !is Card.Failed && presenter.screen.trouble == null
                    holds(well && System.nanoTime() < end) { "${presenter.screen}" }
                    Thread.sleep(5)
                }
            }
            presenter.start()
            until { presenter.screen.verdict != null && presenter.screen.card == null }
            same(true, presenter.screen.pictures)
            presenter.attach { File(folder, "shapes.png").inputStream() }
            until { presenter.screen.picture != null }
            same(listOf("one.ppm"), device.pictures.list()!!.toList())
            presenter.send("What shape is it?")
            until { presenter.screen.lines.size == 2 && !presenter.screen.answering }
            holds(presenter.screen.lines.last().text.isNotEmpty()) // drawn as the checkpoint asks for it
            presenter.newChat()
            until { presenter.screen.lines.isEmpty() }
            same(0, device.pictures.list()!!.size)
            presenter.close()
            until { Pipe.open() <= held + 1 }
        }
        case("an engine that is closed leaves nothing, the graph for pictures neither") {
            engine.close()
            same(0L, Pipe.open())
        }
        for (faulty in File(arguments[3]).listFiles()!!.sorted()) figure(faulty.name, looked(faulty, File(path("shapes"))))
        end()
    }
}
