package dev.gemmabridge.core

/** What a replay of goldens shows. */
enum class Verdict { PASSED, FAILED, NOT_COMPARED }

/** One golden replayed; [why] explains a verdict other than passed. */
data class SelfTestCase(val golden: Golden, val verdict: Verdict, val said: String, val why: String)

/**
 * All goldens replayed on one backend.
 *
 * @property verdict failed when one failed; passed when one passed and none failed; otherwise not compared.
 */
class SelfTestReport(val backend: Backend, val artifactSha256: String, val cases: List<SelfTestCase>) {
    fun count(verdict: Verdict): Int = cases.count { it.verdict == verdict }

    val verdict: Verdict = when {
        count(Verdict.FAILED) > 0 -> Verdict.FAILED
        count(Verdict.PASSED) > 0 -> Verdict.PASSED
        else -> Verdict.NOT_COMPARED
    }

    /** For people: counts, and the first thing that went wrong. */
    fun summary(): String {
        val counts = "${count(Verdict.PASSED)} passed, ${count(Verdict.FAILED)} failed, " +
            "${count(Verdict.NOT_COMPARED)} not compared"
        val first = cases.firstOrNull { it.verdict == Verdict.FAILED } ?: return counts
        return "$counts. First: ${first.why}"
    }

    /** For a report on the desktop. */
    fun toJson(): String = cases.joinToString(
        ",",
        "{\"artifact_sha256\":${Json.quote(artifactSha256)},\"backend\":${Json.quote(backend.wire)}," +
            "\"verdict\":${Json.quote(wire(verdict))},\"cases\":[",
        "]}",
    ) {
        "{\"prompt\":${Json.quote(it.golden.prompt)},\"expected\":${Json.quote(it.golden.text)}," +
            "\"said\":${Json.quote(it.said)},\"verdict\":${Json.quote(wire(it.verdict))},\"why\":${Json.quote(it.why)}}"
    }

    private fun wire(verdict: Verdict) = verdict.name.lowercase().replace('_', ' ')
}

/** Told after each golden. */
fun interface SelfTestListener {
    fun onCase(done: Int, of: Int)
}

/**
 * Replays `golden.json` in an engine that gives text, by the rules of `GOLDEN.md`.
 *
 * Tokens are compared through text: the engine's own tokenizer turns the reference's certain tokens into the text that
 * must come out. Where all are certain that is the whole text.
 */
class SelfTest(private val file: GoldenFile) {
    /**
     * @param artifactSha256 of the model that the engine has loaded.
     * @param cancel ends the test early by [TransferException] with [Trouble.CANCELLED].
     * @throws RefusedException the goldens belong to another model file.
     */
    fun run(
        engine: Engine,
        artifactSha256: String,
        listener: SelfTestListener? = null,
        cancel: Cancel = Cancel(),
    ): SelfTestReport {
        if (artifactSha256 != file.artifactSha256) {
            throw RefusedException("golden.json belongs to another model file: ${file.artifactSha256}, not $artifactSha256")
        }
        val cases = file.goldens.mapIndexed { i, golden ->
            cancel.check()
            val case = replay(engine, golden)
            listener?.onCase(i + 1, file.goldens.size)
            case
        }
        return SelfTestReport(engine.backend, artifactSha256, cases)
    }

    private fun replay(engine: Engine, golden: Golden): SelfTestCase {
        if (golden.certain == 0) {
            return SelfTestCase(golden, Verdict.NOT_COMPARED, "", "no token of it is certain")
        }
        val said = try {
            answer(engine, golden)
        } catch (error: EngineException) {
            return SelfTestCase(golden, Verdict.FAILED, "", "the engine gave up: ${error.message}")
        }
        if (said == null) return SelfTestCase(golden, Verdict.NOT_COMPARED, "", "the engine continues no bare prompt")
        return judge(engine, golden, said)
    }

    private fun answer(engine: Engine, golden: Golden): String? {
        val limit = golden.continuation.size
        if (golden.turns.isEmpty()) return engine.complete(golden.prompt, limit)
        val settings = SessionSettings(golden.turns.dropLast(1), Sampling.GREEDY, limit)
        return engine.start(settings).use { it.send(golden.turns.last().text) {}.text }
    }

    private fun judge(engine: Engine, golden: Golden, said: String): SelfTestCase {
        if (golden.certain == golden.continuation.size) {
            if (said == golden.text) return SelfTestCase(golden, Verdict.PASSED, said, "")
            return failed(golden, said, golden.text)
        }
        val certain = golden.continuation.copyOf(golden.certain).filter { it !in file.stopTokens }.toIntArray()
        // The last character may be half of one that further tokens complete.
        val begin = engine.detokenize(certain)?.trimEnd('\uFFFD')
        if (begin.isNullOrEmpty()) {
            return SelfTestCase(golden, Verdict.NOT_COMPARED, said, "the engine does not tell which text its tokens are")
        }
        if (said.startsWith(begin)) return SelfTestCase(golden, Verdict.PASSED, said, "")
        return failed(golden, said, begin)
    }

    private fun failed(golden: Golden, said: String, expected: String) = SelfTestCase(
        golden,
        Verdict.FAILED,
        said,
        "${Json.quote(expected)} is right, ${Json.quote(said)} was said",
    )
}
