package dev.gemmabridge.jni

/**
 * The functions of the C shim. Handles are addresses: using one after it was freed is the end of the process, so only
 * [NativeEngine] and [NativeSession] call these. Text is UTF-8. All but [cancel] and [taken] throw EngineException.
 */
internal object Native {
    /** @param pictures that a conversation may hold; 0 where the model file has nothing that reads one. */
    @JvmStatic
    external fun open(
        path: ByteArray,
        backend: ByteArray,
        cache: ByteArray,
        threads: Int,
        tokens: Int,
        pictures: Int,
    ): Long

    @JvmStatic
    external fun close(engine: Long)

    @JvmStatic
    external fun complete(engine: Long, prompt: ByteArray, limit: Int): ByteArray

    @JvmStatic
    external fun tokenize(engine: Long, text: ByteArray): IntArray

    @JvmStatic
    external fun detokenize(engine: Long, tokens: IntArray): ByteArray?

    /**
     * @param sink is held until [end]. [topK] of 0 leaves sampling to the model, [limit] of 0 the length.
     * @param drafts 1 or 0: whether the model file's drafter guesses; below 0 where it has none.
     */
    @JvmStatic
    external fun start(
        engine: Long,
        sink: ChunkSink,
        history: ByteArray?,
        tools: ByteArray?,
        topK: Int,
        topP: Float,
        temperature: Float,
        seed: Int,
        limit: Int,
        drafts: Int,
        thinking: Boolean,
    ): Long

    /** Returns at once; the answer goes to the session's sink. */
    @JvmStatic
    external fun send(session: Long, message: ByteArray)

    @JvmStatic
    external fun cancel(session: Long)

    @JvmStatic
    external fun render(session: Long, message: ByteArray): ByteArray

    @JvmStatic
    external fun speed(session: Long): DoubleArray?

    /** Positions of the context that are taken; -1 where the engine does not tell. */
    @JvmStatic
    external fun taken(session: Long): Int

    @JvmStatic
    external fun end(session: Long)
}
