package dev.gemmabridge.test

import dev.gemmabridge.core.Answer
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Conversation
import dev.gemmabridge.core.Digest
import dev.gemmabridge.core.Ending
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Fallback
import dev.gemmabridge.core.GoldenFile
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.core.SelfTest
import dev.gemmabridge.core.Session
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Turn
import dev.gemmabridge.core.Verdict
import dev.gemmabridge.jni.NativeEngineFactory
import dev.gemmabridge.jni.NativeSession
import java.io.File
import java.lang.management.ManagementFactory
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicReference
import javax.management.ObjectName
import kotlin.concurrent.thread

/** Tokens that are drawn from almost all: an answer that goes on until it is stopped. */
private val WILD = SessionSettings(sampling = Sampling(1000, 1.0f, 8.0f, 7))
/** In 200 cycles: a third of what as many KV caches of a small demo would take. The virtual machine alone wavers by 10 MB. */
private const val MOST_KILOBYTES = 20_000L
private val GREEDY = SessionSettings(sampling = Sampling.GREEDY, maxTokens = 8)

private fun residentKilobytes(): Long =
    File("/proc/self/status").readLines().first { it.startsWith("VmRSS") }.split(Regex("\\s+"))[1].toLong()

/** Objects of a class that are still reachable after a collection; the shim's global references hold theirs. */
private fun reachable(name: String): Int {
    val bean = ObjectName("com.sun.management:type=DiagnosticCommand")
    val types = arrayOf(Array<String>::class.java.name)
    val histogram = ManagementFactory.getPlatformMBeanServer()
        .invoke(bean, "gcClassHistogram", arrayOf<Any>(emptyArray<String>()), types) as String
    val line = histogram.lines().firstOrNull { it.trim().split(Regex("\\s+")).getOrNull(3) == name } ?: return 0
    return line.trim().split(Regex("\\s+"))[1].toInt()
}

private fun threads(): Int = File("/proc/self/task").list()!!.size

/** Threads that Java knows: one of the engine's that stays attached ends an Android app when it exits. */
private fun attached(): Int = ManagementFactory.getThreadMXBean().threadCount

/** A message whose answer is long enough to be interrupted, after its first piece or at once; how far it came. */
private fun interrupt(engine: Engine, wait: Boolean = true, action: (Session) -> Unit): Answer? {
    val session = engine.start(WILD)
    val begun = CountDownLatch(1)
    val answer = AtomicReference<Answer>()
    val sender = thread {
        try {
            answer.set(session.send("Tell me everything.") { begun.countDown() })
        } catch (error: EngineException) {
            begun.countDown()
        }
    }
    if (wait) begun.await()
    action(session)
    sender.join()
    session.close()
    return answer.get()
}

/**
 * Arguments: liblitert-lm.so, libgemmabridge.so, the model, its golden.json, a folder for caches, close cycles, the model
 * with damaged weights.
 */
fun main(args: Array<String>) {
    val (library, shim, model, golden, cache) = args
    val cycles = args[5].toInt()
    val factory = NativeEngineFactory {
        System.load(library)
        System.load(shim)
    }
    val settings = EngineSettings(model, cache, threads = 1)
    val goldens = GoldenFile.parse(File(golden).readBytes())
    val digest = Digest.sha256(File(model)) {}
    val suite = Suite()
    val attachedBefore = attached()
    val engine = factory.open(settings, Backend.CPU)

    with(suite) {
        case("every golden that is certain comes out of the real engine, token by token") {
            var compared = 0
            for (item in goldens.goldens.filter { it.turns.isNotEmpty() && it.certain == it.continuation.size }) {
                val start = SessionSettings(item.turns.dropLast(1), Sampling.GREEDY, item.continuation.size)
                val said = engine.start(start).use { it.send(item.turns.last().text) {}.text }
                same(item.text, said)
                val spoken = item.continuation.filter { it !in goldens.stopTokens }
                same(spoken, engine.tokenize(said)!!.toList())
                same(item.ids.drop(1), engine.tokenize(item.prompt)!!.toList())
                compared++
            }
            holds(compared >= 4) { "only $compared of ${goldens.goldens.size} goldens are certain chats" }
            figure("goldens compared token by token", compared)
        }
        case("the self-test passes on the real engine, and says so by counts") {
            val report = SelfTest(goldens).run(engine, digest)
            same(Verdict.PASSED, report.verdict)
            same(0, report.count(Verdict.FAILED))
            figure("self-test", report.summary())
        }
        case("the fallback takes the real engine at once") {
            val choice = Fallback(factory, SelfTest(goldens)).choose(settings, digest)
            same(Verdict.PASSED, choice.verdict)
            same("", choice.reasons())
            choice.engine!!.close()
        }
        case("a backend that computes wrongly is caught by its answers, and the fallback takes the CPU") {
            val wrong = object : EngineFactory {
                override val backends = listOf(Backend.GPU, Backend.CPU)

                override fun open(settings: EngineSettings, backend: Backend): Engine {
                    val path = if (backend == Backend.GPU) args[6] else settings.modelPath
                    return factory.open(settings.copy(modelPath = path), Backend.CPU)
                }
            }
            val choice = Fallback(wrong, SelfTest(goldens)).choose(settings, digest)
            same(2, choice.trials.size)
            same(Verdict.FAILED, choice.trials[0].report!!.verdict)
            same(Verdict.PASSED, choice.verdict)
            holds(choice.reasons().startsWith("GPU: it computes wrongly")) { choice.reasons() }
            figure("self-test of damaged weights", choice.trials[0].report!!.summary())
            choice.engine!!.close()
        }
        case("an answer comes in more than one piece, which together are the text") {
            val pieces = ArrayList<String>()
            val answer = engine.start(GREEDY).use { it.send("Spell \"able\" backwards.") { piece -> pieces.add(piece) } }
            same(answer.text, pieces.joinToString(""))
            holds(pieces.size > 1) { "pieces: $pieces" }
            same(Ending.DONE, answer.ending)
            val speed = answer.speed!!
            holds(speed.tokens >= 2 && speed.tokensPerSecond > 0) { "$speed" }
            figure("pieces", pieces)
            figure("tokens per second", speed.tokensPerSecond)
        }
        case("the engine writes a golden's conversation as the reference does") {
            for (item in goldens.goldens.filter { it.turns.isNotEmpty() }) {
                val session = engine.start(SessionSettings(history = item.turns.dropLast(1))) as NativeSession
                val rendered = session.render(item.turns.last())
                session.close()
                val same = item.prompt == rendered || item.prompt == "<bos>$rendered"
                holds(same) { "${item.prompt}\n$rendered" }
            }
        }
        case("what was said before is known: the answer to a second message depends on the first") {
            Conversation(engine, null, GREEDY).use {
                same("BE", it.say("Belgium in two letters?") {}.text)
                same("BEL", it.say("And in three letters?") {}.text)
                same(4, it.turns.size)
            }
        }
        case("a stopped answer ends early, and the conversation goes on afterwards") {
            Conversation(engine, null, WILD).use { talk ->
                var pieces = 0
                val answer = talk.say("Tell me everything.") { if (++pieces == 2) talk.stop() }
                same(Ending.CANCELLED, answer.ending)
                holds(pieces in 2..40) { "$pieces pieces" }
                same(2, talk.turns.size)
                figure("pieces after a stop at the second", pieces)
                val next = talk.say("And then?") { talk.stop() }
                holds(next.text.isNotEmpty()) { "nothing after a stopped answer" }
            }
        }
        case("a cancelled session is used up and says so") {
            val session = engine.start(WILD)
            session.send("Tell me everything.") { session.cancel() }
            same(false, session.usable)
            failsWith<EngineException>("used up") { session.send("And then?") {} }
            session.close()
        }
        case("text that is not ASCII arrives whole, beyond the basic plane too") {
            val text = "Grüße, Ελλάδα, 日本, 😀 and \"quotes\" \\ \u0001"
            same(text, engine.detokenize(engine.tokenize(text)!!)!!.removePrefix(" "))
            val session = engine.start(GREEDY) as NativeSession
            val rendered = session.render(Turn(Role.USER, text))
            holds("😀" in rendered) { rendered }
            session.close()
        }
        case("a listener that throws ends the answer, and its exception arrives") {
            val session = engine.start(WILD)
            failsWith<IllegalStateException>("the screen is gone") {
                session.send("Tell me everything.") { throw IllegalStateException("the screen is gone") }
            }
            session.close()
        }
        case("an interrupted thread stops the answer and stays interrupted") {
            var interrupted = false
            thread {
                engine.start(WILD).use { it.send("Tell me everything.") { Thread.currentThread().interrupt() } }
                interrupted = Thread.currentThread().isInterrupted
            }.join()
            holds(interrupted)
        }
        case("two answers of one session at once are refused") {
            interrupt(engine) { session ->
                failsWith<EngineException>("answering already") { session.send("Me too.") {} }
                session.cancel()
            }
        }
        case("a session can be closed within its own listener") {
            val session = engine.start(WILD)
            session.send("Tell me everything.") { session.close() }
            failsWith<EngineException>("closed") { session.send("And then?") {} }
        }
        case("an engine can be closed within a listener of one of its sessions") {
            val other = factory.open(settings, Backend.CPU)
            other.start(WILD).send("Tell me everything.") { other.close() }
            failsWith<EngineException>("closed") { other.start(GREEDY) }
            failsWith<EngineException>("closed") { other.tokenize("a") }
            other.close()
        }
        case("an engine that is closed while it answers waits for the answer's end") {
            val other = factory.open(settings, Backend.CPU)
            val answer = interrupt(other) { other.close() }
            holds(answer == null || answer.ending == Ending.CANCELLED)
        }
        case("a model that is not there, a file that is none and a backend that is missing are errors with a reason") {
            val missing = settings.copy(modelPath = "$model.missing")
            figure("missing", fails<EngineException> { factory.open(missing, Backend.CPU) }.message!!)
            val junk = File(cache, "junk.litertlm").apply { writeBytes(ByteArray(5000) { (it * 7).toByte() }) }
            figure("junk", fails<EngineException> { factory.open(settings.copy(modelPath = junk.path), Backend.CPU) }.message!!)
        }
        case("a context that is full is an error, and a new conversation answers") {
            Conversation(engine, null, GREEDY).use { talk ->
                val error = fails<EngineException> { talk.say("word ".repeat(4000)) {} }
                figure("full", error.message!!)
                same("BE", talk.say("Belgium in two letters?") {}.text)
            }
        }
        case("closing while an answer is coming neither crashes nor leaks") {
            val warm = cycles / 4
            var before = 0L
            var threadsBefore = 0
            for (i in 0 until warm + cycles) {
                if (i == warm) {
                    System.gc()
                    before = residentKilobytes()
                    threadsBefore = threads()
                }
                interrupt(engine, wait = i % 4 > 0) { it.close() }
            }
            System.gc()
            val grown = residentKilobytes() - before
            figure("close cycles", cycles)
            figure("growth in kB", grown)
            figure("resident in kB", residentKilobytes())
            same(0, reachable("dev.gemmabridge.jni.ChunkSink"))
            holds(grown < MOST_KILOBYTES) { "$grown kB more after $cycles cycles" }
            holds(attached() <= attachedBefore) { "${attached()} threads of Java's, $attachedBefore before" }
            holds(threads() <= threadsBefore + 4) { "${threads()} threads, $threadsBefore before" }
        }
        case("loading and closing whole engines does not leak") {
            var before = 0L
            for (i in 0 until 14) {
                if (i == 4) before = residentKilobytes()
                val other = factory.open(settings, Backend.CPU)
                interrupt(other) { other.close() }
            }
            figure("growth in kB over 10 engines", residentKilobytes() - before)
            holds(residentKilobytes() - before < 10_000) { "${residentKilobytes() - before} kB more after 10 engines" }
        }
        engine.close()
        end()
    }
}
