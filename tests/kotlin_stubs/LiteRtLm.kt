// The part of com.google.ai.edge.litertlm 0.18 that the sample calls, by its published signatures: names, parameters in
// their order, defaults. The bodies are a small double: it echoes, it calls back from a thread of its own, and like the
// library it throws where something closed is used.
package com.google.ai.edge.litertlm

import java.util.concurrent.CancellationException
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread

sealed class Backend(val name: String) {
    data class CPU(val threadCount: Int? = null, val numOfThreads: Int? = null) : Backend("CPU")

    class GPU : Backend("GPU")

    data class NPU(val nativeLibraryDir: String = "") : Backend("NPU")
}

enum class ActivationDataType(val value: Int) { FLOAT32(0), FLOAT16(1), INT16(2), INT8(3) }

data class EngineConfig @JvmOverloads constructor(
    val modelPath: String,
    val backend: Backend = Backend.CPU(),
    val visionBackend: Backend? = null,
    val audioBackend: Backend? = null,
    val maxNumTokens: Int? = null,
    val maxNumImages: Int? = null,
    val cacheDir: String? = null,
    val activationDataType: ActivationDataType? = null,
)

data class SamplerConfig(val topK: Int, val topP: Double, val temperature: Double, val seed: Int = 0)

data class ThinkingConfig @JvmOverloads constructor(val enableThinking: Boolean = true, val thinkingTokenBudget: Int = -1)

interface ToolProvider

data class Channel(val channelName: String, val start: String, val end: String)

data class LoraConfig(val loraPath: String? = null, val audioLoraPath: String? = null)

data class ConversationConfig @JvmOverloads constructor(
    val systemInstruction: Contents? = null,
    val initialMessages: List<Message> = listOf(),
    val tools: List<ToolProvider> = listOf(),
    val samplerConfig: SamplerConfig? = null,
    val automaticToolCalling: Boolean = true,
    val channels: List<Channel>? = null,
    val extraContext: Map<String, Any> = emptyMap(),
    val loraConfig: LoraConfig? = null,
    val prefillPrefaceOnInit: Boolean = false,
    val maxOutputToken: Int? = null,
    val thinkingConfig: ThinkingConfig? = null,
)

sealed class Content {
    data class Text(val text: String) : Content()

    class ImageFile(val absolutePath: String) : Content()
}

class Contents private constructor(val contents: List<Content>) {
    companion object {
        fun of(text: String) = Contents(listOf(Content.Text(text)))

        fun of(contents: List<Content>) = Contents(contents)
    }
}

enum class Role { SYSTEM, USER, MODEL, TOOL }

class Message private constructor(val role: Role, val contents: Contents) {
    companion object {
        fun user(text: String) = Message(Role.USER, Contents.of(text))

        fun user(contents: Contents) = Message(Role.USER, contents)

        fun model(contents: Contents) = Message(Role.MODEL, contents)
    }
}

interface MessageCallback {
    fun onMessage(message: Message)

    fun onDone()

    fun onError(throwable: Throwable)
}

class Engine(val engineConfig: EngineConfig) : AutoCloseable {
    private var initialized = false

    fun initialize() {
        if (engineConfig.backend is Backend.GPU) throw IllegalStateException("no OpenCL")
        initialized = true
        OPEN.incrementAndGet()
    }

    fun createConversation(conversationConfig: ConversationConfig = ConversationConfig()): Conversation {
        check(initialized) { "Engine is not initialized." }
        return Conversation(conversationConfig)
    }

    override fun close() {
        check(initialized) { "Engine is not initialized." }
        check(Conversation.OPEN.get() == 0) { "a conversation outlives its engine" }
        initialized = false
        OPEN.decrementAndGet()
    }

    companion object {
        val OPEN = AtomicInteger()
    }
}

class Conversation internal constructor(val config: ConversationConfig) : AutoCloseable {
    private val alive = AtomicBoolean(true)
    private val cancelled = AtomicBoolean(false)
    private val running = AtomicBoolean(false)

    init {
        OPEN.incrementAndGet()
    }

    @JvmOverloads
    fun sendMessageAsync(text: String, callback: MessageCallback, extraContext: Map<String, Any> = emptyMap()) {
        check(alive.get()) { "Conversation is not alive." }
        check(extraContext.isEmpty())
        running.set(true)
        thread { answer(text, callback) }
    }

    private fun answer(text: String, callback: MessageCallback) {
        val words = if (text == "for ever") generateSequence { "on " } else text.chunked(2).asSequence()
        for (word in words) {
            if (cancelled.get()) break
            Thread.sleep(1)
            check(alive.get()) { "it was closed while it answers" }
            callback.onMessage(Message.model(Contents.of(listOf(Content.ImageFile("/x"), Content.Text(word)))))
        }
        running.set(false)
        when {
            cancelled.get() -> callback.onError(CancellationException("stopped"))
            text == "fail" -> callback.onError(IllegalStateException("Status Code: 3. Message: full"))
            else -> callback.onDone()
        }
    }

    fun cancelProcess() {
        check(alive.get()) { "Conversation is not alive." }
        cancelled.set(true)
    }

    override fun close() {
        check(alive.compareAndSet(true, false)) { "Conversation is closed already." }
        check(!running.get()) { "it was closed while it answers" }
        OPEN.decrementAndGet()
    }

    companion object {
        val OPEN = AtomicInteger()
    }
}
