package dev.gemmabridge.test

import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.FirstStart
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.jni.NativeEngineFactory
import java.io.File

private const val QUESTION = "Spell \"bread\" backwards."

/** Hot enough that the demo seldom says what it would say otherwise. */
private fun wild(seed: Int) = Sampling(64, 1.0f, 8.0f, seed)

/** Arguments: liblitert-lm.so, libgemmabridge.so, a model with a drafter, a folder for caches, what both take
 * there, and where kernels do not pad columns. */
fun main(args: Array<String>) {
    val (library, shim, model, cache, bytes) = args
    val factory = NativeEngineFactory {
        System.load(library)
        System.load(shim)
    }
    val packed = bytes.toLong()
    val drafted = { File(cache).list()!!.any { "drafter" in it } }

    with(Suite()) {
        case("the drafter guesses where the best token is taken and leaves drawn tokens alone") {
            val settings = EngineSettings(model, cache, threads = 1, drafter = true)
            factory.open(settings, Backend.CPU).use { engine ->
                fun say(sampling: Sampling) =
                    engine.start(SessionSettings(sampling = sampling, maxTokens = 12)).use { it.send(QUESTION) {}.text }
                val drawn = (1..3).map { say(wild(it)) }
                same(false, drafted()) // the engine packs a drafter's weights when it first guesses
                holds(FirstStart.left(File(cache), packed) > 0) { "nothing is left to be written" }
                same("daerb", say(Sampling.GREEDY))
                same(true, drafted())
                same(drawn, (1..3).map { say(wild(it)) })
                holds(drawn.toSet().size > 1) { "drawn answers are all alike: $drawn" }
                same("daerb", say(Sampling.GREEDY))
            }
        }
        case("a first start has left what the manifest says") {
            same(0L, FirstStart.left(File(cache), packed))
            val there = File(cache).listFiles()!!.sumOf { it.length() }
            val near = { bytes: Long -> there in bytes * 99 / 100..bytes * 101 / 100 }
            holds(near(packed) || near(args[5].toLong())) { "$there instead of $packed" }
        }
        case("a drafter that nobody asks for stays silent") {
            File(cache).listFiles()!!.forEach { it.delete() }
            factory.open(EngineSettings(model, cache, threads = 1), Backend.CPU).use { engine ->
                same("daerb", engine.start(SessionSettings(sampling = Sampling.GREEDY)).use { it.send(QUESTION) {}.text })
            }
            same(false, drafted())
        }
        end()
    }
}
