package dev.gemmabridge.test

import dev.gemmabridge.core.Answer
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.BundleFile
import dev.gemmabridge.core.Cancel
import dev.gemmabridge.core.ControlTokens
import dev.gemmabridge.core.Conversation
import dev.gemmabridge.core.Digest
import dev.gemmabridge.core.Ending
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Fallback
import dev.gemmabridge.core.FirstStart
import dev.gemmabridge.core.FreeSpace
import dev.gemmabridge.core.GoldenFile
import dev.gemmabridge.core.Json
import dev.gemmabridge.core.Manifest
import dev.gemmabridge.core.MemoryCheck
import dev.gemmabridge.core.MemoryNeed
import dev.gemmabridge.core.MemoryVerdict
import dev.gemmabridge.core.ModelImport
import dev.gemmabridge.core.NamedToken
import dev.gemmabridge.core.Phase
import dev.gemmabridge.core.Progress
import dev.gemmabridge.core.RefusedException
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Runtime
import dev.gemmabridge.core.SamplerSettings
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.core.SelfTest
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Size
import dev.gemmabridge.core.TransferException
import dev.gemmabridge.core.Trouble
import dev.gemmabridge.core.Turn
import dev.gemmabridge.core.Verdict
import java.io.ByteArrayInputStream
import java.io.File
import java.io.IOException
import java.io.InputStream

private val SETTINGS = EngineSettings("model", "cache")

private fun engine(backend: Backend, noise: (Int, Int) -> Double = { _, _ -> 0.0 }) =
    LogitsEngine(backend, Goldens.steps, setOf(Goldens.STOP), noise = noise)

/** Logits off as a wrong kernel's: the second best becomes the best at the second step. */
private val WRONG = { step: Int, rank: Int -> if (step == 1 && rank == 1) 7.0 else 0.0 }

private fun folder(parent: String, name: String) = File(parent, name).apply { mkdirs() }

private fun left(folder: File) = folder.list()!!.sorted()

/** Arguments: a bundle's manifest.json, a folder. */
fun main(args: Array<String>) {
    val manifest = File(args[0]).readText()
    val work = args[1]
    with(Suite()) {
        json()
        manifests(manifest)
        goldens()
        controlTokens()
        selfTests()
        fallbacks(work)
        conversations()
        memory(work)
        imports(work)
        end()
    }
}

private fun Suite.json() {
    case("JSON is read as RFC 8259 has it") {
        val read = Json.parse(" {\"a\": [1, -2.5e1, true, null, \"\\u00e9\\n\\ud83d\\ude00\"], \"b\": {}, \"c\": []} ")
        same(mapOf("a" to listOf(1L, -25.0, true, null, "é\n😀"), "b" to emptyMap<String, Any>(), "c" to emptyList<Any>()), read)
    }
    case("hostile JSON is refused, and never with another exception") {
        val hostile = listOf(
            "", " ", "{", "[", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "'a'", "[1 2]", "01", "-", "1.", ".5", "1e", "+1",
            "NaN", "Infinity", "1e999", "nul", "truee", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"a", "\"\n\"", "[1]]", "{}{}",
            "{\"a\":1,\"a\":2}", "// no\n1", "\uFEFF1", "[".repeat(100_000), "{\"a\":".repeat(5_000),
            "9".repeat(5_000), "1." + "0".repeat(5_000), "\u0000", "[\u00a01]",
        )
        for (text in hostile) fails<RefusedException> { Json.parse(text) }
        fails<RefusedException> { Json.parse(" ".repeat(Json.MAX_CHARACTERS + 1)) }
    }
    case("a number that fits is an integer, any other a double") {
        same(Long.MAX_VALUE, Json.parse("9223372036854775807"))
        same(9.223372036854775808e18, Json.parse("9223372036854775808"))
        for (text in listOf("0", "-0", "-7", "10", "9223372036854775807")) same(text.toLong(), Json.parse(text))
        for (text in listOf("-0.0", "0.5", "1.0", "1e5", "1E+5", "-2.5e-3", "0e0", "9223372036854775808", "9".repeat(64))) {
            same(text.toDouble(), Json.parse(text))
            same(listOf(text.toDouble()), Json.parse("[$text ]"))
        }
        for (text in listOf("00", "-01", "--1", "1-", "1.e5", "1e+", "1.5.5", "1e5.5", "1e5e5", "-.5", "1_0", "9".repeat(65))) {
            fails<RefusedException> { Json.parse(text) }
        }
    }
    case("a quoted string is read back as it was") {
        val text = "\"\\/\u0000\u001f\u007f é 日本 😀 \u2028"
        same(text, Json.parse(Json.quote(text)))
    }
}

private fun Suite.manifests(manifest: String) {
    case("the bundle's own manifest is read") {
        val read = Manifest.parse(manifest.toByteArray())
        same("demo", read.name)
        same("model.litertlm", read.model.name)
        holds(read.model.bytes > 1_000_000 && read.contextTokens > 0 && read.memory.mappedWeights > 1_000_000)
        same(Runtime.LITERT_LM, read.runtime)
    }
    case("members that a manifest of the same version has besides are passed over") {
        val more = "\"tokens\": {\"stops\": [1, 106], \"roles\": {\"eot\": \"<turn|>\"}}, \"later\": null, \"list\": [{}],"
        val read = Manifest.parse(signed(manifest.replaceFirst("{", "{$more").replaceFirst("\"runtime\": {", "\"runtime\": {\"later\": 1,")))
        same("demo", read.name)
    }
    case("the manifest says which tokens end an answer, which mark a turn, and how a token is drawn") {
        val read = Manifest.parse(manifest.toByteArray()).feeding
        same(NamedToken(2, "<bos>"), read.start)
        same(NamedToken(0, "<pad>"), read.pad)
        same(listOf(1, 50, 106), read.stops.map { it.id })
        same(NamedToken(106, "<turn|>"), read.roles["eot_token"])
        same(SamplerSettings(64, 0.95, 1.0), read.sampler)
        val best = Manifest.parse(signed(manifest.replace("\"sample\": true", "\"sample\": false"))).feeding
        same(null, best.sampler)
    }
    case("a feeding part that an engine's app cannot follow is refused by name") {
        fun refused(from: String, to: String, words: String) {
            holds(from in manifest) { "no $from in the manifest" }
            failsWith<RefusedException>(words) { Manifest.parse(signed(manifest.replaceFirst(from, to))) }
        }
        refused("\"calls\": null", "\"calls\": {}", "feeding.calls")
        refused("\"sample\": true", "\"sample\": 1", "feeding.sampler.sample is not true or false")
        refused("\"top_k\": 64", "\"top_k\": 0", "top_k is 0")
        refused("\"top_p\": 0.95", "\"top_p\": 1.5", "top_p is 1.5")
        refused("\"temperature\": 1.0", "\"temperature\": -1.0", "temperature is -1.0")
        refused("\"stops\"", "\"stop\"", "feeding.tokens.stops is missing")
        refused("\"feeding\"", "\"feeding_\"", "manifest.feeding is missing")
    }
    case("a changed byte of the manifest is found") {
        failsWith<RefusedException>("damaged") { Manifest.parse(manifest.replace("\"demo\"", "\"dema\"").toByteArray()) }
    }
    case("a file name that leaves the folder is refused") {
        val names = listOf("../model.litertlm", "/etc/passwd", "a/../../b", "..", ".", "a//b", "C:\\\\x", "a\\u0000b", "-rf", "a b", "")
        for (name in names) {
            val bad = manifest.replace("\"golden.json\": {", "\"$name\": {")
            failsWith<RefusedException>("allowed") { Manifest.parse(signed(bad)) }
        }
        for (name in listOf("golden.jsom", "parity.json", "../model.litertlm")) {
            fails<RefusedException> { Manifest.parse(signed(manifest.replace("\"model\": \"model.litertlm\"", "\"model\": \"$name\""))) }
        }
    }
    case("another version, another platform, another type and a missing member are refused by name") {
        fun refused(from: String, to: String, words: String) {
            holds(from in manifest) { "no $from in the manifest" }
            failsWith<RefusedException>(words) { Manifest.parse(signed(manifest.replace(from, to))) }
        }
        refused("\"schema_version\": 1", "\"schema_version\": 2", "this app reads 1")
        refused("\"platform\": \"android\"", "\"platform\": \"ios\"", "this app reads android")
        refused("\"context\": ", "\"context\": 0.", "kv_cache.context")
        refused("\"mapped_weights\": ", "\"mapped_weights\": -", "mapped_weights")
        refused("\"mapped_weights\"", "\"mapped_weight\"", "mapped_weights is missing")
        refused("\"artifact_sha256\": \"", "\"artifact_sha256\": \"A", "artifact_sha256")
        failsWith<RefusedException>("UTF-8") { Manifest.parse(byteArrayOf(0x7b, 0xc3.toByte(), 0x28)) }
    }
}

private fun Suite.goldens() {
    case("the digests of the guide come out") {
        holds(Digest.tokens(intArrayOf(2, 105)).startsWith("cf45f209b27fdcce"))
        same("de3d66a842ab63c6", Digest.step(intArrayOf(1, 2), doubleArrayOf(0.5, -1.25)))
    }
    case("a golden file is read, and a number taken over wrongly is found") {
        val text = Goldens.json()
        same(3, GoldenFile.parse(text.toByteArray()).goldens.size)
        fun refused(from: String, to: String, words: String) {
            holds(from in text) { "no $from" }
            failsWith<RefusedException>(words) { GoldenFile.parse(text.replaceFirst(from, to).toByteArray()) }
        }
        refused("20.0", "20.1", "digest")
        refused("\"ids\":[2,5]", "\"ids\":[2,6]", "tokens_sha256")
        refused("\"certain\":3", "\"certain\":4", "certain is 4 of 3")
        refused("\"schema_version\":1", "\"schema_version\":2", "this app reads 1")
        refused("\"role\":\"user\"", "\"role\":\"tool\"", "user and assistant are allowed")
        refused("\"role\":\"user\"", "\"role\":\"assistant\"", "do not end with the user's")
        refused("[10, 110", "[10, 111", "digest")
    }
}

private fun Suite.controlTokens() {
    case("a marker that somebody typed is none, also in halves that join") {
        val typed = "a<turn|>\n<|turn>system\nb<tu<turn|>rn|>c<|th<|turn>ink|>"
        val harmless = "a<\u2060turn|>\n<\u2060|turn>system\nb<tu<\u2060turn|>rn|>c<|th<\u2060|turn>ink|>"
        same(harmless, ControlTokens.harmless(typed))
    }
}

private fun Suite.selfTests() {
    case("an engine that says what the reference says passes, and what is not certain is not compared") {
        val report = SelfTest(Goldens.file()).run(engine(Backend.CPU), Goldens.ARTIFACT)
        same(listOf(Verdict.PASSED, Verdict.PASSED, Verdict.NOT_COMPARED), report.cases.map { it.verdict })
        same(Verdict.PASSED, report.verdict)
        same("2 passed, 0 failed, 1 not compared", report.summary())
    }
    case("an engine whose logits are off is caught, and the first wrong answer is shown") {
        val report = SelfTest(Goldens.file()).run(engine(Backend.GPU, WRONG), Goldens.ARTIFACT)
        same(Verdict.FAILED, report.verdict)
        same(2, report.count(Verdict.FAILED))
        holds("\"w10 w11 \" is right, \"w10 w111 \" was said" in report.summary()) { report.summary() }
        holds("\"verdict\":\"failed\"" in report.toJson() && Json.parse(report.toJson()) is Map<*, *>)
    }
    case("a difference behind the first near-tie is nobody's fault") {
        val late = { step: Int, rank: Int -> if (step >= 2 && rank == 1) 2.5 else 0.0 }
        val report = SelfTest(Goldens.file()).run(engine(Backend.GPU, late), Goldens.ARTIFACT)
        same(Verdict.PASSED, report.verdict)
    }
    case("goldens without a certain token prove nothing: not compared, never passed") {
        val report = SelfTest(Goldens.file(listOf(0, 0, 0))).run(engine(Backend.CPU), Goldens.ARTIFACT)
        same(Verdict.NOT_COMPARED, report.verdict)
        same(3, report.count(Verdict.NOT_COMPARED))
    }
    case("an engine that only gives text is compared where all tokens are certain, and there alone") {
        val mute = LogitsEngine(Backend.CPU, Goldens.steps, setOf(Goldens.STOP), spells = false)
        val report = SelfTest(Goldens.file()).run(mute, Goldens.ARTIFACT)
        same(listOf(Verdict.PASSED, Verdict.NOT_COMPARED, Verdict.NOT_COMPARED), report.cases.map { it.verdict })
    }
    case("an engine that gives up on a golden fails it") {
        val report = SelfTest(Goldens.file()).run(LogitsEngine(Backend.CPU, emptyMap(), emptySet()), Goldens.ARTIFACT)
        same(Verdict.FAILED, report.verdict)
        holds("gave up" in report.summary())
    }
    case("goldens of another model file are refused") {
        failsWith<RefusedException>("another model file") { SelfTest(Goldens.file()).run(engine(Backend.CPU), "0".repeat(64)) }
    }
    case("a replay is greedy, fresh for each golden and no longer than the reference") {
        val seen = engine(Backend.CPU)
        SelfTest(Goldens.file()).run(seen, Goldens.ARTIFACT)
        val start = seen.starts.single()
        same(1, start.sampling!!.topK)
        same(3, start.maxTokens)
        same(false, start.thinking)
    }
}

private fun Suite.fallbacks(work: String) {
    fun choose(factory: Factory, mark: File? = null, certain: List<Int> = listOf(3, 2, 0)) =
        Fallback(factory, SelfTest(Goldens.file(certain)), mark).choose(SETTINGS, Goldens.ARTIFACT)

    case("a GPU that is right is taken, and nothing else is loaded") {
        val factory = Factory(mapOf(Backend.GPU to { engine(Backend.GPU) }, Backend.CPU to { engine(Backend.CPU) }))
        val choice = choose(factory)
        same(Backend.GPU, choice.engine!!.backend)
        same(listOf(Backend.GPU), factory.opened)
        same("", choice.reasons())
    }
    case("a GPU that computes wrongly is closed, and the CPU is taken; the reason is told") {
        val gpu = engine(Backend.GPU, WRONG)
        val choice = choose(Factory(mapOf(Backend.GPU to { gpu }, Backend.CPU to { engine(Backend.CPU) })))
        same(Backend.CPU, choice.engine!!.backend)
        same(Verdict.PASSED, choice.verdict)
        same(true, gpu.closed)
        holds(choice.reasons().startsWith("GPU: it computes wrongly")) { choice.reasons() }
    }
    case("a GPU that does not start is passed over, for want of a driver or of a library") {
        val none = choose(Factory(mapOf(Backend.GPU to { null }, Backend.CPU to { engine(Backend.CPU) })))
        same("GPU: it does not load: no driver", none.reasons())
        val library = { throw UnsatisfiedLinkError("libOpenCL.so") }
        val choice = choose(Factory(mapOf(Backend.GPU to library, Backend.CPU to { engine(Backend.CPU) })))
        same(Backend.CPU, choice.engine!!.backend)
        holds("libOpenCL.so" in choice.reasons())
    }
    case("when every backend is wrong there is no engine, and the verdict says failed") {
        val engines = listOf(engine(Backend.GPU, WRONG), engine(Backend.CPU, WRONG))
        val choice = choose(Factory(mapOf(Backend.GPU to { engines[0] }, Backend.CPU to { engines[1] })))
        same(null, choice.engine)
        same(Verdict.FAILED, choice.verdict)
        same(2, choice.reasons().split('\n').size)
        holds(engines.all { it.closed })
    }
    case("where nothing can be compared the CPU is taken and called not compared") {
        val factory = Factory(mapOf(Backend.GPU to { engine(Backend.GPU) }, Backend.CPU to { engine(Backend.CPU) }))
        val choice = choose(factory, certain = listOf(0, 0, 0))
        same(Backend.CPU, choice.engine!!.backend)
        same(Verdict.NOT_COMPARED, choice.verdict)
    }
    case("a GPU that took the process with it is not tried again") {
        val mark = File(folder(work, "mark"), "trying")
        val factory = Factory(mapOf(Backend.GPU to { throw OutOfMemoryError("a crash") }, Backend.CPU to { engine(Backend.CPU) }))
        fails<OutOfMemoryError> { choose(factory, mark) }
        same("gpu", mark.readText())
        val choice = choose(factory, mark)
        same(Backend.CPU, choice.engine!!.backend)
        holds("died" in choice.reasons())
        same(listOf(Backend.GPU, Backend.CPU), factory.opened)
        same("gpu", mark.readText())
        mark.delete()
        choose(Factory(mapOf(Backend.CPU to { engine(Backend.CPU) })), mark)
        same(false, mark.exists())
    }
    case("a cancelled test closes its engine and leaves no mark") {
        val mark = File(folder(work, "cancelled"), "trying")
        val gpu = engine(Backend.GPU)
        val cancel = Cancel().apply { cancel() }
        val fallback = Fallback(Factory(mapOf(Backend.GPU to { gpu })), SelfTest(Goldens.file()), mark)
        same(Trouble.CANCELLED, fails<TransferException> { fallback.choose(SETTINGS, Goldens.ARTIFACT, null, cancel) }.trouble)
        same(true, gpu.closed)
        same(false, mark.exists())
    }
}

private fun Suite.conversations() {
    case("a conversation begins with its system turn and keeps what was said") {
        val engine = ScriptEngine { history, turn, listener, _ ->
            listener.onPiece("${history.size}:")
            listener.onPiece(turn.text)
            Answer("${history.size}:${turn.text}", Ending.DONE, null)
        }
        val talk = Conversation(engine, "Be brief.", SessionSettings(maxTokens = 9))
        same("1:a", talk.say("a") {}.text)
        same("3:b", talk.say("b") {}.text)
        same(1, engine.starts.size)
        same(listOf(Turn(Role.SYSTEM, "Be brief.")), engine.starts[0].history)
        same(9, engine.starts[0].maxTokens)
        same(listOf("a", "1:a", "b", "3:b"), talk.turns.map { it.text })
        talk.restart()
        same("1:c", talk.say("c") {}.text)
        talk.close()
        same(0, engine.open)
        failsWith<EngineException>("closed") { talk.say("d") {} }
    }
    case("after a stopped answer another session begins with the same history") {
        val engine = ScriptEngine { _, turn, listener, cancelled ->
            val out = StringBuilder()
            for (i in 1..5) {
                if (cancelled()) break
                out.append(i)
                listener.onPiece("$i")
            }
            Answer(if (turn.text == "a") "$out" else "b", if (cancelled()) Ending.CANCELLED else Ending.DONE, null)
        }
        val talk = Conversation(engine)
        val answer = talk.say("a") { if (it == "2") talk.stop() }
        same("12", answer.text)
        same(Ending.CANCELLED, answer.ending)
        talk.say("b") {}
        same(2, engine.starts.size)
        same(listOf("a", "12"), engine.starts[1].history.map { it.text })
        talk.close()
        same(0, engine.open)
    }
    case("tokens are chosen in another way from the next message on, and what was said is kept") {
        val engine = ScriptEngine { _, turn, _, _ -> Answer(turn.text, Ending.DONE, null) }
        val talk = Conversation(engine, settings = SessionSettings(maxTokens = 9))
        talk.say("a") {}
        talk.sample(Sampling.GREEDY)
        same(listOf("a", "a"), talk.turns.map { it.text })
        talk.say("b") {}
        talk.sample(Sampling.GREEDY) // as it is: the session stays
        talk.say("c") {}
        same(listOf(null, Sampling.GREEDY), engine.starts.map { it.sampling })
        same(listOf(2, 9), engine.starts[1].let { listOf(it.history.size, it.maxTokens) })
        talk.close()
        same(0, engine.open)
        same(listOf(true, false, false), listOf(Sampling.GREEDY, Sampling(2, 1f, 1f, 1), null).map { SETTINGS.copy(drafter = true).drafts(it) })
        same(null, SETTINGS.drafts(Sampling.GREEDY))
    }
    case("an answer that failed was not said, and the same message can be sent again") {
        var broken = true
        val engine = ScriptEngine { _, _, _, _ -> if (broken) throw EngineException("full") else Answer("ok", Ending.DONE, null) }
        val talk = Conversation(engine)
        failsWith<EngineException>("full") { talk.say("a") {} }
        same(0, talk.turns.size)
        same(0, engine.open)
        broken = false
        same("ok", talk.say("a") {}.text)
        same(2, talk.turns.size)
    }
}

private fun Suite.memory(work: String) {
    val gb = 1_000_000_000L
    case("memory is compared with what the model keeps resident, not with its embeddings") {
        val need = MemoryNeed(2 * gb, 50 * gb, gb / 2)
        same(MemoryVerdict.ENOUGH, MemoryCheck.check(need, 8 * gb, 5 * gb).verdict)
        same(MemoryVerdict.TIGHT, MemoryCheck.check(need, 8 * gb, 2 * gb).verdict)
        val small = MemoryCheck.check(need, 4 * gb, 4 * gb)
        same(MemoryVerdict.TOO_SMALL, small.verdict)
        holds("2.81 GB" in small.message && "4.00 GB" in small.message) { small.message }
        same(MemoryVerdict.TOO_SMALL, MemoryCheck.check(MemoryNeed(Long.MAX_VALUE, 0, Long.MAX_VALUE), 8 * gb, 8 * gb).verdict)
    }
    case("a first start is told from a later one by what lies in the cache") {
        val cache = folder(work, "first start")
        same(1000L, FirstStart.left(File(cache, "absent"), 1000))
        same(listOf(1000L, 0L), listOf(1000L, 0L).map { FirstStart.left(cache, it) })
        File(cache, "half").writeBytes(ByteArray(500))
        same(500L, FirstStart.left(cache, 1000)) // it was interrupted
        File(cache, "rest").writeBytes(ByteArray(399))
        same(101L, FirstStart.left(cache, 1000))
        File(cache, "rest").writeBytes(ByteArray(400)) // some percent fewer than was said
        same(0L, FirstStart.left(cache, 1000))
        FirstStart.clear(cache)
        same(emptyList<String>(), left(cache))
    }
    case("a first start is refused where its files and a reserve do not fit") {
        val reserve = 32L * 1024 * 1024
        same(listOf(null, null), listOf(FirstStart.refusal(0, 0), FirstStart.refusal(gb, gb + reserve)))
        same(
            "The first start writes 1.00 GB and needs 1.03 GB of free storage; 1.03 GB are free.",
            FirstStart.refusal(gb, gb + reserve - 1),
        )
        for (free in listOf(0L, Long.MAX_VALUE)) holds(FirstStart.refusal(Long.MAX_VALUE, free) != null)
    }
    case("sizes have units") {
        same(listOf("999 B", "1 kB", "2 MB", "2.58 GB"), listOf(999L, 1_000L, 2_618_816L, 2_588_000_000L).map { Size.of(it) })
    }
}

private fun Suite.imports(work: String) {
    val bytes = ByteArray(300_000) { (it * 31).toByte() }
    val want = BundleFile("model.litertlm", bytes.size.toLong(), Digest.sha256(bytes))
    val none = Progress { _, _, _ -> }
    fun import(name: String, stream: InputStream, cancel: Cancel = Cancel(), space: FreeSpace = FreeSpace.OF_DISK): File {
        val target = File(folder(work, name), want.name)
        ModelImport.copy(stream, target, want, none, cancel, space)
        return target
    }

    case("an import that is right arrives, and a second one is not copied again") {
        val target = import("right", ByteArrayInputStream(bytes))
        holds(target.readBytes().contentEquals(bytes))
        same(listOf(want.name), left(target.parentFile))
        import("right", object : InputStream() {
            override fun read(): Int = throw IOException("not to be read")
        })
    }
    case("an import that is wrong, short, long or broken leaves nothing") {
        val wrong = bytes.clone().also { it[150_000]++ }
        val broken = object : InputStream() {
            var count = 0
            override fun read(): Int = if (count++ < 200_000) 1 else throw IOException("the card is gone")
        }
        val streams = mapOf(
            "wrong" to ByteArrayInputStream(wrong),
            "short" to ByteArrayInputStream(bytes, 0, 299_999),
            "long" to ByteArrayInputStream(bytes + 1),
            "broken" to broken,
        )
        for ((name, stream) in streams) {
            val error = fails<TransferException> { import(name, stream) }
            same(if (name == "broken") Trouble.STORAGE else Trouble.WRONG_FILE, error.trouble)
            same(emptyList<String>(), left(File(work, name)))
        }
    }
    case("an import is not begun where the storage is too full, and ends when it is cancelled") {
        val full = fails<TransferException> { import("full", ByteArrayInputStream(bytes), space = FreeSpace { 1_000 }) }
        same(Trouble.NO_SPACE, full.trouble)
        val cancel = Cancel()
        val stream = object : InputStream() {
            override fun read(): Int {
                cancel.cancel()
                return 1
            }
        }
        same(Trouble.CANCELLED, fails<TransferException> { import("full", stream, cancel) }.trouble)
        same(emptyList<String>(), left(File(work, "full")))
    }
    case("a file that is there and wrong is replaced, and parts of other versions are removed") {
        val folder = folder(work, "stale")
        File(folder, want.name).writeBytes(ByteArray(300_000))
        File(folder, "${want.name}.0123456789abcdef.part").writeText("old")
        File(folder, "notes.txt").writeText("the user's")
        val phases = HashSet<Phase>()
        ModelImport.copy(ByteArrayInputStream(bytes), File(folder, want.name), want, { phase, _, _ -> phases.add(phase) })
        same(listOf(want.name, "notes.txt"), left(folder))
        same(setOf(Phase.TRANSFER, Phase.CHECK), phases)
    }
}
