package dev.gemmabridge.core

import java.io.File

/**
 * What became of one backend.
 *
 * @property report null where the self-test did not run.
 * @property why it was not taken; empty for the one that was.
 */
class Trial(val backend: Backend, val report: SelfTestReport?, val why: String)

/**
 * What was chosen: [engine] is null when no backend is right, and then nothing should be generated at all.
 * The verdict of the engine is [verdict]; [trials] tell the whole story, in order.
 */
class Choice(val engine: Engine?, val trials: List<Trial>) {
    val verdict: Verdict = if (engine == null) Verdict.FAILED else trials.last().report?.verdict ?: Verdict.NOT_COMPARED

    /** Every backend that was not taken and why, a line each; empty when the first one was right. */
    fun reasons(): String = trials.filter { it.why.isNotEmpty() }.joinToString("\n") { "${it.backend}: ${it.why}" }
}

/**
 * Takes the first backend that loads the model and passes the self-test: GPUs of some phones give garbage, fail to
 * start, or take the process with them.
 *
 * The last backend is also taken when no golden could be compared there: then [Choice.verdict] says so.
 *
 * @param mark a file that exists while a backend is tried. Found at the start, the process died of that backend, and it
 *     is not tried again until the file is deleted. The last backend is tried all the same: there is no other.
 */
class Fallback(private val factory: EngineFactory, private val selfTest: SelfTest, private val mark: File? = null) {
    /**
     * @throws RefusedException the goldens belong to another model file.
     * @throws TransferException with [Trouble.CANCELLED].
     */
    fun choose(
        settings: EngineSettings,
        artifactSha256: String,
        listener: SelfTestListener? = null,
        cancel: Cancel = Cancel(),
    ): Choice {
        val died = fallen()
        val trials = ArrayList<Trial>()
        for ((i, backend) in factory.backends.withIndex()) {
            val last = i == factory.backends.size - 1
            if (backend.wire in died && !last) {
                trials.add(Trial(backend, null, "the app died while it was tried before"))
                continue
            }
            remember(died + backend.wire)
            val engine = try {
                attempt(settings, backend, artifactSha256, listener, cancel, last, trials)
            } catch (error: Exception) { // a cancel, or goldens of another file: the backend did nothing
                remember(died)
                throw error
            }
            remember(died)
            if (engine != null) return Choice(engine, trials)
        }
        return Choice(null, trials)
    }

    private fun attempt(
        settings: EngineSettings,
        backend: Backend,
        artifactSha256: String,
        listener: SelfTestListener?,
        cancel: Cancel,
        last: Boolean,
        trials: MutableList<Trial>,
    ): Engine? {
        val engine = try {
            factory.open(settings, backend)
        } catch (error: EngineException) {
            trials.add(Trial(backend, null, "it does not load: ${error.message}"))
            return null
        } catch (error: LinkageError) { // a library of the phone's maker is missing
            trials.add(Trial(backend, null, "a library is missing: ${error.message}"))
            return null
        }
        var kept = false
        try {
            val report = selfTest.run(engine, artifactSha256, listener, cancel)
            kept = report.verdict == Verdict.PASSED || (last && report.verdict == Verdict.NOT_COMPARED)
            val why = when {
                kept -> ""
                report.verdict == Verdict.FAILED -> "it computes wrongly: ${report.summary()}"
                else -> "nothing could be compared"
            }
            trials.add(Trial(backend, report, why))
        } finally {
            if (!kept) engine.close()
        }
        return if (kept) engine else null
    }

    private fun fallen(): Set<String> {
        val file = mark ?: return emptySet()
        return if (file.isFile) file.readText().split('\n').filter { it.isNotEmpty() }.toSet() else emptySet()
    }

    private fun remember(wires: Set<String>) {
        val file = mark ?: return
        if (wires.isEmpty()) file.delete() else file.writeText(wires.joinToString("\n"))
    }
}
