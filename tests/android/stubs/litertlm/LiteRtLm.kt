// Declarations of litertlm-android 0.18 as published, as far as engine-aar uses them: names, types and defaults, no more.
// Only for checking types where the library cannot be had.
@file:Suppress("UNUSED_PARAMETER")

package com.google.ai.edge.litertlm

sealed class Backend {
    class CPU(val numOfThreads: Int? = null) : Backend()

    class GPU : Backend()

    class NPU(val nativeLibraryDir: String) : Backend()
}

data class EngineConfig(
    val modelPath: String,
    val backend: Backend = Backend.CPU(),
    val visionBackend: Backend? = null,
    val audioBackend: Backend? = null,
    val maxNumTokens: Int? = null,
    val cacheDir: String? = null,
)

data class SamplerConfig(val topK: Int, val topP: Double, val temperature: Double, val seed: Int = 0)

sealed class Content {
    data class Text(val text: String) : Content()
}

class Contents private constructor(val contents: List<Content>) {
    companion object {
        fun of(text: String): Contents = Contents(listOf(Content.Text(text)))
    }
}

class Message private constructor(val contents: Contents) {
    companion object {
        fun user(text: String): Message = Message(Contents.of(text))

        fun model(text: String): Message = Message(Contents.of(text))
    }
}

data class ConversationConfig(
    val systemInstruction: Contents? = null,
    val initialMessages: List<Message> = emptyList(),
    val samplerConfig: SamplerConfig? = null,
)

data class ThinkingConfig(val enableThinking: Boolean = false, val thinkingTokenBudget: Int? = null)

interface MessageCallback {
    fun onMessage(message: Message)

    fun onDone()

    fun onError(throwable: Throwable)
}

class Conversation : AutoCloseable {
    fun sendMessageAsync(
        message: Message,
        callback: MessageCallback,
        extraContext: Map<String, Any> = emptyMap(),
        maxOutputToken: Int? = null,
        thinkingConfig: ThinkingConfig? = null,
    ): Unit = throw NotImplementedError()

    fun cancelProcess(): Unit = throw NotImplementedError()

    override fun close(): Unit = throw NotImplementedError()
}

class Engine(val engineConfig: EngineConfig) : AutoCloseable {
    fun initialize(): Unit = throw NotImplementedError()

    fun createConversation(conversationConfig: ConversationConfig = ConversationConfig()): Conversation =
        throw NotImplementedError()

    override fun close(): Unit = throw NotImplementedError()
}
