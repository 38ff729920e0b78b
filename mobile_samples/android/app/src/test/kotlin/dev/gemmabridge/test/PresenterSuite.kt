package dev.gemmabridge.test

import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineFactory
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.core.Size
import dev.gemmabridge.sample.Action
import dev.gemmabridge.sample.Card
import dev.gemmabridge.sample.Cut
import dev.gemmabridge.sample.Line
import dev.gemmabridge.sample.Presenter
import dev.gemmabridge.sample.Screen
import dev.gemmabridge.sample.Task
import dev.gemmabridge.sample.Trouble
import dev.gemmabridge.sample.Used
import dev.gemmabridge.sample.Verdict
import java.io.ByteArrayInputStream
import java.io.File
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit

/** Arguments: a bundle's folder, a folder to work in. */
fun main(args: Array<String>) {
    val suite = Suite()
    val bundle = File(args[0])
    suite.figure("work", args[1])

    fun case(name: String, body: (File) -> Unit) =
        suite.case(name) { body(File(args[1], name.replace(' ', '-')).apply { mkdirs() }) }

    case("packed model to chat") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, CPU) }
        run.presenter.start()
        val screen = run.chat()
        equal(screen.verdict, Verdict("CPU", run.golden.goldens.size, false))
        val tasks = run.seen.mapNotNull { (it.card as? Card.Busy)?.task }.distinct()
        equal(tasks, listOf(Task.LOOKING, Task.UNPACKING, Task.CHECKING, Task.PREPARING, Task.TESTING))
        run.presenter.send(run.golden.goldens[0].turns.last().text)
        val answered = run.until("an answer") { !it.answering && it.lines.size == 2 }
        equal(answered.lines[1].text, run.golden.goldens[0].text)
        equal(answered.lines[1].tokens > 0, true)
        equal(File(work, "self-test.json").readText().contains("\"verdict\":\"passed\""), true)
        run.presenter.close()
    }
    case("second start reads nothing again") { work ->
        Run(bundle, work, true) { KnowingFactory(it, CPU) }.apply { presenter.start(); chat(); presenter.close() }
        val run = Run(bundle, work, false) { KnowingFactory(it, CPU) }
        run.presenter.start()
        run.chat()
        equal(run.seen.any { (it.card as? Card.Busy)?.task == Task.CHECKING }, false)
        run.presenter.close()
    }
    case("first start says what it writes and needs the room for it") { work ->
        val packed = Manifest.parse(File(bundle, "manifest.json").readBytes()).packedWeights
        fun run(inside: Boolean = false) = Run(bundle, work, inside) { KnowingFactory(it, CPU) }
        run(inside = true).apply {
            device.storage = packed + 32 * 1024 * 1024 - 1
            presenter.start()
            val card = failed(Trouble.SPACE)
            equal(card.detail.startsWith("The first start writes ${Size.of(packed)} and needs "), true)
            equal(listOf(card.actions, double.opened), listOf(listOf(Action.RETRY), emptyList<Backend>()))
            device.storage++
            double.writes = packed.toInt() / 2 // and is interrupted
            presenter.act(Action.RETRY)
            chat()
            equal(seen.mapNotNull { it.card as? Card.Busy }.single { it.task == Task.PREPARING }.writes, packed)
            presenter.close()
        }
        run().apply {
            double.writes = (packed - packed / 20).toInt() // as near as figures of a device come
            presenter.start()
            chat()
            val again = seen.mapNotNull { it.card as? Card.Busy }.single { it.task == Task.PREPARING }.writes
            equal(again, packed - packed.toInt() / 2)
            presenter.close()
        }
        run().apply {
            device.storage = 0
            presenter.start()
            chat()
            equal(seen.mapNotNull { (it.card as? Card.Busy)?.task }.distinct(), listOf(Task.LOOKING, Task.LOADING, Task.TESTING))
            presenter.close()
        }
        File(work, "model.litertlm").setLastModified(1_000_000_000_000)
        run().apply { // the model came anew: what was made of the old one goes
            presenter.start()
            chat()
            equal(seen.mapNotNull { it.card as? Card.Busy }.single { it.task == Task.PREPARING }.writes, packed)
            equal(File(work, "cache").list()!!.toList(), listOf("packed"))
            presenter.close()
        }
    }
    case("no room is asked for before the cpu is tried") { work ->
        val right = Run(bundle, work, true) { KnowingFactory(it, BOTH) }
        right.device.storage = 100_000_000
        right.presenter.start()
        right.chat()
        right.presenter.close()
        right.device.cache.listFiles()!!.forEach { it.delete() }
        val wrong = Run(bundle, work, false) { KnowingFactory(it, BOTH, wrong = setOf(Backend.GPU)) }
        wrong.device.storage = 0
        wrong.presenter.start()
        wrong.failed(Trouble.SPACE)
        equal(listOf(right.double.opened, wrong.double.opened), listOf(listOf(Backend.GPU), listOf(Backend.GPU)))
        for (run in listOf(right, wrong)) {
            equal(run.seen.mapNotNull { (it.card as? Card.Busy)?.task }.contains(Task.PREPARING), false)
        }
        equal(File(work, "trying").exists(), false)
        wrong.presenter.close()
    }
    case("drafter answers greedily until the user wants varied answers, and that is remembered") { work ->
        fun run(inside: Boolean) = Run(bundle, work, inside) { KnowingFactory(it, CPU) }.apply {
            device.drafter = true
            presenter.start()
        }
        fun Run.ask(): Sampling? {
            val lines = presenter.screen.lines.size
            presenter.send("What?")
            until("an answer") { !it.answering && it.lines.size == lines + 2 }
            return double.started.last().sampling
        }
        run(inside = true).apply {
            equal(chat().faster, true)
            equal(double.given.single().drafter, true)
            equal(ask(), Sampling.GREEDY)
            presenter.faster(false)
            equal(until("the choice") { it.faster == false }.lines.size, 2)
            equal(ask(), null)
            equal(double.started.last().history.size, 2)
            presenter.close()
        }
        run(inside = false).apply {
            equal(chat().faster, false)
            equal(ask(), null)
            presenter.faster(true)
            equal(ask(), Sampling.GREEDY)
            presenter.close()
        }
    }
    case("model without a drafter offers no choice and samples as the checkpoint asks") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, CPU) }
        run.presenter.start()
        equal(run.chat().faster, null)
        run.presenter.faster(true)
        run.presenter.send("What?")
        run.until("an answer") { !it.answering && it.lines.isNotEmpty() }
        equal(run.seen.any { it.faster != null }, false)
        equal(listOf(run.double.started.last().sampling, run.double.given.single().drafter), listOf(null, false))
        run.presenter.close()
    }
    case("damaged model is not loaded") { work ->
        File(work, "model.litertlm").writeBytes(File(bundle, "model.litertlm").readBytes().also { it[1000] = (it[1000] + 1).toByte() })
        val run = Run(bundle, work, false) { KnowingFactory(it, CPU) }
        run.presenter.start()
        val screen = run.until("missing") { it.card is Card.Missing }
        equal(screen.card!!.actions, listOf(Action.IMPORT))
        equal(run.double.opened, emptyList<Backend>())
        equal(File(work, "model.litertlm").exists(), false)
        run.presenter.close()
    }
    case("import of a wrong file then the right one") { work ->
        val run = Run(bundle, work, false) { KnowingFactory(it, CPU) }
        run.presenter.start()
        run.until("missing") { it.card is Card.Missing }
        run.presenter.import { ByteArrayInputStream(ByteArray(1000)) }
        run.failed(Trouble.FILE)
        equal(work.list()!!.filter { it.endsWith(".part") || it.endsWith(".litertlm") }, emptyList<String>())
        run.presenter.import { File(bundle, "model.litertlm").inputStream() }
        run.chat()
        run.presenter.close()
    }
    case("wrong gpu falls back") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, BOTH, wrong = setOf(Backend.GPU)) }
        run.presenter.start()
        val verdict = run.chat().verdict!!
        equal(listOf(verdict.backend, verdict.fellBack, verdict.failed), listOf("CPU", "GPU", false))
        equal(verdict.why.startsWith("it computes wrongly"), true)
        equal(run.double.opened, BOTH)
        run.presenter.close()
    }
    case("nothing right means no chat") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, BOTH, wrong = BOTH.toSet()) }
        run.presenter.start()
        equal(run.failed(Trouble.SELF_TEST).actions, listOf(Action.RETRY))
        run.presenter.send("hello")
        equal(run.presenter.screen.lines, emptyList<Line>())
        equal(File(work, "self-test.json").readText().contains("\"verdict\":\"failed\""), true)
        run.presenter.close()
    }
    case("engine that does not start") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, CPU, failing = CPU.toSet()) }
        run.presenter.start()
        equal(run.failed(Trouble.ENGINE).detail, "CPU: it does not load: no such device")
        run.presenter.close()
    }
    case("too little memory asks first") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, CPU) }
        run.device.ram = 100_000_000
        run.presenter.start()
        equal(run.failed(Trouble.MEMORY).actions, listOf(Action.RETRY, Action.GO_ON))
        equal(run.double.opened, emptyList<Backend>())
        run.presenter.act(Action.GO_ON)
        run.chat()
        run.presenter.close()
    }
    case("stopped answer stays") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, CPU) }
        run.presenter.start()
        run.chat()
        run.presenter.send("wait")
        run.until("a piece") { it.answering && it.lines.lastOrNull()?.text == "so far" }
        run.presenter.stop()
        val screen = run.until("the end") { !it.answering && it.lines.size == 2 }
        equal(screen.lines[1], Line(false, "so far", stopped = true))
        run.presenter.newChat()
        run.until("a new chat") { it.lines.isEmpty() }
        run.presenter.close()
    }
    case("broken answer gives the message back") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, CPU) }
        run.presenter.start()
        run.chat()
        run.double.breakAnswers = true
        run.presenter.send("my words")
        val screen = run.until("trouble") { it.trouble != null }
        equal(listOf(screen.draft, screen.lines, screen.trouble!!.trouble), listOf("my words", emptyList<Line>(), Trouble.ANSWER))
        run.presenter.act(Action.RETRY)
        equal(run.until("the chat again") { it.trouble == null }.card, null)
        run.presenter.close()
    }
    case("used tools are shown") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, CPU) }
        run.presenter.start()
        run.chat()
        run.presenter.send("calculate")
        val used = listOf(Used("calculator", "42"))
        run.until("the tool") { it.answering && it.lines.lastOrNull() == Line(false, "", used = used) }
        val screen = run.until("an answer") { !it.answering && it.lines.size == 2 }
        equal(screen.lines[1], Line(false, "It is 42.", used = used))
        run.presenter.close()
    }
    case("cut answer says so and the chat goes on") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, CPU) }
        run.presenter.start()
        run.chat()
        run.presenter.send("much")
        val line = run.until("an answer") { !it.answering && it.lines.size == 2 }.lines[1]
        equal(listOf(line.text, line.cut, line.tokens), listOf("so much", Cut.LIMIT, 48)) // half of the bundle's context
        run.presenter.send("go on")
        run.until("another answer") { !it.answering && it.lines.size == 4 && it.trouble == null }
        run.presenter.close()
    }
    case("full conversation offers a new one and keeps the message") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, CPU) }
        run.presenter.start()
        run.chat()
        run.presenter.send("everything")
        equal(run.until("an answer") { !it.answering && it.lines.size == 2 }.lines[1].cut, Cut.CONTEXT)
        run.presenter.send("my words")
        val full = run.until("trouble") { it.trouble != null }
        equal(listOf(full.trouble!!.trouble, full.draft, full.lines.size), listOf(Trouble.FULL, "my words", 2))
        equal(full.trouble.actions, listOf(Action.NEW_CHAT, Action.BACK))
        run.presenter.act(Action.BACK)
        equal(run.until("the chat again") { it.trouble == null }.lines.size, 2)
        run.presenter.act(Action.NEW_CHAT)
        val fresh = run.until("a new chat") { it.lines.isEmpty() }
        equal(listOf(fresh.draft, fresh.trouble), listOf("my words", null))
        run.presenter.send("my words")
        equal(run.until("an answer") { !it.answering && it.lines.size == 2 }.lines[1].text, "I do not know")
        run.presenter.close()
    }
    case("message that is too long for any chat is given back") { work ->
        val run = Run(bundle, work, true) { KnowingFactory(it, CPU) }
        run.presenter.start()
        run.chat()
        run.presenter.send("too long")
        val screen = run.until("trouble") { it.trouble != null }
        equal(screen.trouble, Card.Failed(Trouble.TOO_LONG, "309 >= 128", listOf(Action.BACK)))
        equal(listOf(screen.draft, screen.lines), listOf("too long", emptyList<Line>()))
        run.presenter.close()
    }
    case("app without a bundle") { work ->
        val run = Desk(File(work, "nothing"), work, true)
        val screens = LinkedBlockingQueue<Screen>()
        val none = object : EngineFactory {
            override val backends = CPU

            override fun open(settings: EngineSettings, backend: Backend): Engine = throw AssertionError("opened")
        }
        val presenter = Presenter(run, { none }, "") { screens.put(it) }
        presenter.start()
        while (true) {
            val card = screens.poll(60, TimeUnit.SECONDS)?.card ?: throw AssertionError("no screen")
            if (card is Card.Failed) {
                equal(card.trouble, Trouble.BUNDLE)
                break
            }
        }
        presenter.close()
    }
    suite.end()
}
