package dev.gemmabridge.test

import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Conversation
import dev.gemmabridge.core.Engine
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Turn
import dev.gemmabridge.jni.NativeEngineFactory
import java.io.File

private const val QUESTION = "What is it?"

/**
 * Arguments: liblitert-lm.so, libgemmabridge.so, a model with a vision tower of noise, one without, a folder with one.png,
 * other.png and broken.png, which is none.
 */
fun main(args: Array<String>) {
    val (library, shim, model, blind, pictures) = args
    val factory = NativeEngineFactory {
        System.load(library)
        System.load(shim)
    }
    val cache = File(pictures, "cache").apply { mkdirs() }.path
    val seeing = EngineSettings(model, cache, threads = 1, pictures = 4)
    val (one, other, broken) = listOf("one", "other", "broken").map { File(pictures, "$it.png").path }
    val greedy = SessionSettings(sampling = Sampling.GREEDY, maxTokens = 16)

    fun Engine.asked(pictures: List<String>, question: String = QUESTION, history: List<Turn> = emptyList()): String =
        start(greedy.copy(history = history)).use { it.send(question, pictures) {}.text }

    with(Suite()) {
        case("the model sees pictures, one, another and both") {
            factory.open(seeing, Backend.CPU).use { engine ->
                same(true, engine.pictures)
                val seen = listOf(emptyList(), listOf(one), listOf(other), listOf(one, other)).map { engine.asked(it) }
                same(4, seen.toSet().size)
                same(seen[1], engine.asked(listOf(one)))
                holds(engine.asked(listOf(one), "").isNotEmpty())
            }
        }
        case("a picture stays seen in a later turn, and in the history of another session") {
            factory.open(seeing, Backend.CPU).use { engine ->
                val later = listOf(one, other).map { picture ->
                    engine.start(greedy).use { session ->
                        session.send(QUESTION, listOf(picture)) {}
                        session.send("And now?") {}.text
                    }
                }
                same(2, later.toSet().size)
                val told = listOf(listOf(one), listOf(other), emptyList()).map { seen ->
                    engine.asked(emptyList(), "And now?", listOf(Turn(Role.USER, QUESTION, pictures = seen), Turn(Role.ASSISTANT, "ok")))
                }
                same(3, told.toSet().size)
            }
        }
        case("a picture that is none or gone is a failure, and the conversation goes on") {
            factory.open(seeing, Backend.CPU).use { engine ->
                Conversation(engine, settings = greedy).use { talk ->
                    for (picture in listOf(broken, File(pictures, "nowhere.png").path)) {
                        val error = fails<EngineException> { talk.say(QUESTION, pictures = listOf(picture)) {} }
                        figure("of $picture", error.message!!)
                    }
                    same(engine.asked(listOf(one)), talk.say(QUESTION, pictures = listOf(one)) {}.text)
                }
            }
        }
        case("without a place for pictures none is taken, and with one a model without a tower says nothing at all") {
            factory.open(seeing.copy(pictures = 0), Backend.CPU).use { engine ->
                same(false, engine.pictures)
                fails<EngineException> { engine.asked(listOf(one)) }
                holds(engine.asked(emptyList()).isNotEmpty())
            }
            factory.open(seeing.copy(modelPath = blind), Backend.CPU).use { engine ->
                val error = fails<EngineException> { engine.asked(emptyList()) }
                figure("of a model without a tower", error.message!!)
            }
        }
        end()
    }
}
