package dev.gemmabridge.test

import dev.gemmabridge.core.Answer
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.ContextFullException
import dev.gemmabridge.core.Ending
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Extent
import dev.gemmabridge.core.GoldenFile
import dev.gemmabridge.core.Images
import dev.gemmabridge.core.Picture
import dev.gemmabridge.core.PictureException
import dev.gemmabridge.core.PictureTrouble
import dev.gemmabridge.core.PieceListener
import dev.gemmabridge.core.Session
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Speed
import dev.gemmabridge.core.ToolAnswer
import dev.gemmabridge.core.ToolCall
import dev.gemmabridge.sample.Card
import dev.gemmabridge.sample.Device
import dev.gemmabridge.sample.Presenter
import dev.gemmabridge.sample.Screen
import dev.gemmabridge.sample.Trouble
import java.io.ByteArrayInputStream
import java.io.File
import java.io.InputStream
import java.util.concurrent.CountDownLatch
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit

/** The presenter on a desktop; the engine is a double that knows the goldens. */
internal class KnowingFactory(
    private val golden: GoldenFile,
    override val backends: List<Backend>,
    private val wrong: Set<Backend> = emptySet(),
    private val failing: Set<Backend> = emptySet(),
) : EngineFactory {
    val opened = ArrayList<Backend>()
    val given = ArrayList<EngineSettings>()
    val started = ArrayList<SessionSettings>()
    var writes = 0
    val hold = CountDownLatch(1)

    @Volatile var breakAnswers = false

    /** Paths that came with each message. */
    val sent = ArrayList<List<String>>()

    override fun open(settings: EngineSettings, backend: Backend): Engine {
        opened.add(backend)
        given.add(settings)
        if (backend in failing) throw EngineException("no such device")
        File(settings.cacheDir, "packed").writeBytes(ByteArray(writes))
        val sees = settings.pictures > 0
        return object : Engine {
            override val backend = backend
            override val pictures = sees

            override fun start(settings: SessionSettings): Session {
                started.add(settings)
                return Talk(backend, settings)
            }

            override fun complete(prompt: String, maxTokens: Int): String? = null

            override fun tokenize(text: String): IntArray? = null

            override fun detokenize(tokens: IntArray): String? = null

            override fun close() = Unit
        }
    }

    private inner class Talk(private val backend: Backend, private val settings: SessionSettings) : Session {
        @Volatile private var cancelled = false

        override val usable get() = !cancelled

        override fun send(message: String, pictures: List<String>, listener: PieceListener): Answer {
            sent.add(pictures)
            return send(message, listener)
        }

        override fun send(message: String, listener: PieceListener): Answer {
            if (breakAnswers) throw EngineException("the context is full")
            val right = golden.goldens.firstOrNull { it.turns.last().text == message }?.text ?: "I do not know"
            val text = if (backend in wrong) "nonsense" else right
            if (message == "wait") {
                listener.onPiece("so far")
                hold.await(60, TimeUnit.SECONDS)
                return Answer("so far", if (cancelled) Ending.CANCELLED else Ending.DONE, null)
            }
            when (message) {
                "too long" -> throw ContextFullException("309 >= 128")
                "calculate" -> {
                    if (settings.tools.none { it.name == "calculator" }) throw EngineException("no calculator")
                    return Answer("", Ending.DONE, null, listOf(ToolCall("calculator", mapOf("expression" to "6*7"))))
                }
                "much" -> return cut(Ending.LIMIT, listener)
                "everything" -> return cut(Ending.CONTEXT, listener)
            }
            text.forEach { listener.onPiece(it.toString()) }
            return Answer(text, Ending.DONE, Speed(text.length, 10.0, 0.1))
        }

        private fun cut(ending: Ending, listener: PieceListener): Answer {
            listener.onPiece("so much")
            return Answer("so much", ending, Speed(settings.maxTokens, 10.0, 0.1))
        }

        override fun answer(answers: List<ToolAnswer>, listener: PieceListener): Answer {
            val text = "It is ${answers.single().value}."
            listener.onPiece(text)
            return Answer(text, Ending.DONE, null)
        }

        override fun cancel() {
            cancelled = true
            hold.countDown()
        }

        override fun close() = Unit
    }
}

internal class Desk(private val bundle: File, override val folder: File, private val inside: Boolean) : Device {
    override val name = "desk"
    override val cache = File(folder, "cache").apply { mkdirs() }
    var ram = 8_000_000_000L
    var storage = 8_000_000_000L
    var drafter = false

    /** What stands in the manifest's `feeding.images`; empty: the bundle's own. */
    var images = ""
    override val pictures = File(folder, "pictures").apply { mkdirs() }

    /** A picture is what its stream holds, or why it is none. */
    override fun picture(source: InputStream, images: Images): Picture {
        val text = source.readBytes().toString(Charsets.UTF_8)
        PictureTrouble.values().firstOrNull { it.name == text }?.let { throw PictureException(it) }
        val files = listOf("png", "jpg").map { File(pictures, "$text.$it").apply { writeText("${images.tokens}") } }
        return Picture(files[0].path, files[1].path, Extent(4000, 3000))
    }

    override fun free() = storage

    override fun memory() = Pair(ram, ram)

    override fun packed(name: String): InputStream? {
        if (name.endsWith(".litertlm") && !inside) return null
        if (name == "manifest.json" && drafter) {
            val text = File(bundle, name).readText()
            return ByteArrayInputStream(signed(text.replaceFirst("\"drafter\": null", "\"drafter\": {\"drafts\": 4}")))
        }
        if (name == "manifest.json" && images.isNotEmpty()) {
            val none = Regex("(\"feeding\": \\{.*?\"images\": )null", RegexOption.DOT_MATCHES_ALL)
            val text = none.replaceFirst(File(bundle, name).readText(), "$1" + Regex.escapeReplacement(images))
            return ByteArrayInputStream(signed(text))
        }
        return File(bundle, name).takeIf { it.isFile }?.let { ByteArrayInputStream(it.readBytes()) }
    }
}

internal class Run(bundle: File, work: File, inside: Boolean, url: String = "", make: (GoldenFile) -> KnowingFactory) {
    val device = Desk(bundle, work, inside)
    val golden = GoldenFile.parse(File(bundle, "golden.json").readBytes())
    val double = make(golden)
    private val screens = LinkedBlockingQueue<Screen>()
    val seen = ArrayList<Screen>()
    val presenter = Presenter(device, { double }, url) { screens.put(it) }

    fun until(what: String, holds: (Screen) -> Boolean): Screen {
        while (true) {
            val screen = screens.poll(60, TimeUnit.SECONDS) ?: throw AssertionError("never: $what; last ${seen.lastOrNull()}")
            seen.add(screen)
            if (holds(screen)) return screen
        }
    }

    fun chat() = until("a chat") { it.card == null }

    fun failed(trouble: Trouble): Card.Failed =
        until("$trouble") { (it.card as? Card.Failed)?.trouble == trouble }.card as Card.Failed
}

internal fun equal(found: Any?, wanted: Any?) = same(wanted, found)

internal val CPU = listOf(Backend.CPU)
internal val BOTH = listOf(Backend.GPU, Backend.CPU)
