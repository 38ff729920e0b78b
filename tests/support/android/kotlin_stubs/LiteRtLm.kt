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

abstract class ToolProvider {
    internal abstract fun names(): List<String>
}

interface OpenApiTool {
    fun getToolDescriptionJsonString(): String

    fun execute(paramsJsonString: String): String
}

fun tool(openApiTool: OpenApiTool): ToolProvider = object : ToolProvider() {
    override fun names() = Regex("\"name\":\"(\\w+)\"").findAll(openApiTool.getToolDescriptionJsonString()).map { it.groupValues[1] }.toList()
}

data class ToolCall(val name: String, val arguments: Map<String, Any?>)

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
    val enableResponseFormat: Boolean = false,
    val enableSpeculativeDecoding: Boolean? = null,
    val chatTemplate: String? = null,
)

sealed class Content {
    data class Text(val text: String) : Content()

    class ImageFile(val absolutePath: String) : Content()

    data class ToolResponse(val name: String, val response: Any?) : Content()
}

class Contents private constructor(val contents: List<Content>) {
    companion object {
        fun of(text: String) = Contents(listOf(Content.Text(text)))

        fun of(contents: List<Content>) = Contents(contents)
    }
}

enum class Role { SYSTEM, USER, MODEL, TOOL }

class Message internal constructor(
    val role: Role,
    val contents: Contents,
    val toolCalls: List<ToolCall> = emptyList(),
    val channels: Map<String, String> = emptyMap(),
) {
    companion object {
        fun user(text: String) = Message(Role.USER, Contents.of(text))

        fun user(contents: Contents) = Message(Role.USER, contents)

        fun model(text: String) = model(Contents.of(text))

        fun model(
            contents: Contents = Contents.of(emptyList()),
            toolCalls: List<ToolCall> = emptyList(),
            channels: Map<String, String> = emptyMap(),
        ) = Message(Role.MODEL, contents, toolCalls, channels)

        fun tool(contents: Contents) = Message(Role.TOOL, contents)
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
        CONFIGS.add(engineConfig)
        OPEN.incrementAndGet()
    }

    fun createConversation(conversationConfig: ConversationConfig = ConversationConfig()): Conversation {
        check(initialized) { "Engine is not initialized." }
        DRAFTED.add(conversationConfig.enableSpeculativeDecoding)
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
        val CONFIGS = ArrayList<EngineConfig>()

        /** What each conversation said of drafts. */
        val DRAFTED = ArrayList<Boolean?>()
    }
}

class Conversation internal constructor(val config: ConversationConfig) : AutoCloseable {
    private val alive = AtomicBoolean(true)
    private val cancelled = AtomicBoolean(false)
    private val running = AtomicBoolean(false)
    private val sent = ArrayList<Message>()

    init {
        OPEN.incrementAndGet()
    }

    @JvmOverloads
    fun sendMessageAsync(message: Message, callback: MessageCallback, extraContext: Map<String, Any> = emptyMap()) {
        check(alive.get()) { "Conversation is not alive." }
        check(extraContext.isEmpty())
        running.set(true)
        sent.add(message)
        thread { answer(message.contents.contents.joinToString("") { text(it) }, callback) }
    }

    private fun text(content: Content): String = when (content) {
        is Content.Text -> content.text
        is Content.ToolResponse -> "${content.name} says ${content.response}"
        is Content.ImageFile -> "[${content.absolutePath}]"
    }

    fun getTokenCount(): Int {
        check(alive.get()) { "Conversation is not alive." }
        return sent.sumOf { it.contents.contents.size } * 10
    }

    private fun answer(text: String, callback: MessageCallback) {
        if (text.startsWith("call ")) {
            check(!config.automaticToolCalling) { "the library would run the tool itself" }
            if (text.drop(5) !in config.tools.flatMap { it.names() }) {
                running.set(false)
                return callback.onError(IllegalStateException("it is not declared"))
            }
            callback.onMessage(Message.model(toolCalls = listOf(ToolCall(text.drop(5), mapOf("expression" to "6*7")))))
            running.set(false)
            return callback.onDone()
        }
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
            text == "long" -> callback.onError(
                IllegalStateException(
                    "Status Code: 3. Message: Input token ids are too long. Exceeding the maximum number of tokens allowed: 99 >= 64",
                ),
            )
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
