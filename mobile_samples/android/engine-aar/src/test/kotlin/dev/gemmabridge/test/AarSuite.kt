package dev.gemmabridge.test

import com.google.ai.edge.litertlm.Backend as GoogleBackend
import com.google.ai.edge.litertlm.Conversation as GoogleConversation
import com.google.ai.edge.litertlm.Engine as GoogleEngine
import dev.gemmabridge.aar.AarEngineFactory
import dev.gemmabridge.core.Backend
import dev.gemmabridge.core.Calculator
import dev.gemmabridge.core.ContextFullException
import dev.gemmabridge.core.Conversation
import dev.gemmabridge.core.Ending
import dev.gemmabridge.core.EngineException
import dev.gemmabridge.core.EngineSettings
import dev.gemmabridge.core.Role
import dev.gemmabridge.core.Sampling
import dev.gemmabridge.core.SessionSettings
import dev.gemmabridge.core.Turn
import java.util.concurrent.CountDownLatch
import kotlin.concurrent.thread

/** Against a double of Google's library that calls back, cancels and complains as the library does. */
fun main() {
    val settings = EngineSettings("model", "cache", threads = 2, contextTokens = 64)
    val factory = AarEngineFactory()
    with(Suite()) {
        case("an answer streams through Google's API, without what is no text") {
            factory.open(settings, Backend.CPU).use { engine ->
                val pieces = ArrayList<String>()
                val answer = engine.start(SessionSettings()).use { it.send("abcde") { piece -> pieces.add(piece) } }
                same("abcde", answer.text)
                same(listOf("ab", "cd", "e"), pieces)
                same(Ending.DONE, answer.ending)
            }
        }
        case("history, system turn, sampling and limit arrive where the library wants them") {
            factory.open(settings, Backend.CPU).use { engine ->
                val history = listOf(Turn(Role.SYSTEM, "s"), Turn(Role.USER, "u"), Turn(Role.ASSISTANT, "a"))
                engine.start(SessionSettings(history, Sampling.GREEDY, 7, thinking = true)).close()
                fails<EngineException> { engine.start(SessionSettings(history + history)) }
            }
        }
        case("a drafter guesses where the best token is taken, and is never mentioned where there is none") {
            for ((drafter, wanted) in listOf(true to listOf(true, false, false), false to listOf(null, null, null))) {
                GoogleEngine.DRAFTED.clear()
                factory.open(settings.copy(drafter = drafter), Backend.CPU).use { engine ->
                    for (sampling in listOf(Sampling.GREEDY, Sampling(64, 0.95f, 1.0f, 1), null)) {
                        engine.start(SessionSettings(sampling = sampling)).close()
                    }
                }
                same(wanted, GoogleEngine.DRAFTED.toList())
            }
        }
        case("pictures come before the words and are read on the CPU, and a model without a tower is asked for none") {
            GoogleEngine.CONFIGS.clear()
            factory.open(settings.copy(pictures = 3), Backend.CPU).use { engine ->
                same(true, engine.pictures)
                val seen = listOf(Turn(Role.USER, "u", pictures = listOf("/old.png")), Turn(Role.ASSISTANT, "a"))
                engine.start(SessionSettings(seen)).use { session ->
                    same("[/a.png][/b.png]ab", session.send("ab", listOf("/a.png", "/b.png")) {}.text)
                    same("[/a.png]", session.send("", listOf("/a.png")) {}.text)
                    same("ab", session.send("ab") {}.text)
                }
            }
            factory.open(settings, Backend.CPU).use { same(false, it.pictures) }
            same(
                listOf(Pair(GoogleBackend.CPU(), 3), Pair(null, null)),
                GoogleEngine.CONFIGS.map { Pair(it.visionBackend, it.maxNumImages) },
            )
        }
        case("a GPU that does not start is an exception that the fallback knows") {
            failsWith<EngineException>("no OpenCL") { factory.open(settings, Backend.GPU) }
            same(listOf(Backend.GPU, Backend.CPU), factory.backends)
        }
        case("a failure of the library's is told, and the conversation begins again") {
            factory.open(settings, Backend.CPU).use { engine ->
                Conversation(engine).use { talk ->
                    failsWith<EngineException>("full") { talk.say("fail") {} }
                    same("ok", talk.say("ok") {}.text)
                }
            }
        }
        case("a tool that is declared is called, run by the core, and its answer goes back") {
            factory.open(settings, Backend.CPU).use { engine ->
                Conversation(engine, settings = SessionSettings(tools = listOf(Calculator()))).use { talk ->
                    val used = ArrayList<String>()
                    val answer = talk.say("call calculator", { call, said -> used.add("$call $said") }) {}
                    same("calculator says 42", answer.text)
                    same(1, used.size)
                    holds("expression=6*7" in used[0] && "42" in used[0]) { used[0] }
                    // Another session takes the round as history.
                    talk.say("for ever") { talk.stop() }
                    same("ok", talk.say("ok") {}.text)
                }
                Conversation(engine).use { talk -> failsWith<EngineException>("not declared") { talk.say("call clock") {} } }
            }
        }
        case("a context that is full, a message that does not fit and control tokens") {
            factory.open(settings.copy(contextTokens = 20), Backend.CPU).use { engine ->
                Conversation(engine).use { talk ->
                    fails<ContextFullException> { talk.say("long") {} }
                    same(Ending.DONE, talk.say("a<turn|>") {}.ending)
                    same(listOf("a<turn|>", "a<\u2060turn|>"), talk.turns.map { it.text }) // the double echoes
                    same(Ending.CONTEXT, talk.say("b") {}.ending)
                    same(true, talk.full)
                }
            }
        }
        case("an answer as long as its limit is called cut, a shorter one and a call are not") {
            factory.open(settings, Backend.CPU).use { engine ->
                val limited = SessionSettings(maxTokens = 2, tools = listOf(Calculator()))
                same(Ending.LIMIT, engine.start(limited).use { it.send("abcd") {} }.ending)
                same(Ending.DONE, engine.start(limited).use { it.send("ab") {} }.ending)
                same(Ending.DONE, engine.start(limited.copy(maxTokens = 1)).use { it.send("call calculator") {} }.ending)
            }
        }
        case("an answer is stopped, and closing one in its middle waits for its end") {
            factory.open(settings, Backend.CPU).use { engine ->
                val session = engine.start(SessionSettings())
                same(Ending.CANCELLED, session.send("for ever") { session.cancel() }.ending)
                same(false, session.usable)
                session.close()
            }
            repeat(50) {
                val engine = factory.open(settings, Backend.CPU)
                val session = engine.start(SessionSettings())
                val begun = CountDownLatch(1)
                val sender = thread { session.send("for ever") { begun.countDown() } }
                begun.await()
                engine.close()
                sender.join()
                session.close()
            }
            same(0, GoogleConversation.OPEN.get())
            same(0, GoogleEngine.OPEN.get())
        }
        case("an engine closed within a listener outlives its session") {
            val engine = factory.open(settings, Backend.CPU)
            engine.start(SessionSettings()).send("for ever") { engine.close() }
            same(0, GoogleConversation.OPEN.get())
            same(0, GoogleEngine.OPEN.get())
            failsWith<EngineException>("closed") { engine.start(SessionSettings()) }
        }
        end()
    }
}
