/* A conversation: begin and end it, send a message, stop an answer. */
#include "bridge.h"

/* Freed after the conversation, which calls nobody any more then. */
typedef struct {
    Talk *talk;
    JavaVM *machine;
    jobject sink;
    jmethodID on_chunk;
} Session;

static JNIEnv *attach(JavaVM *machine, int *attached) {
    void *env = NULL;
    *attached = 0;
    if ((*machine)->GetEnv(machine, &env, JNI_VERSION_1_6) == JNI_OK) return env;
#ifdef __ANDROID__
    jint failed = (*machine)->AttachCurrentThreadAsDaemon(machine, (JNIEnv **)&env, NULL);
#else
    jint failed = (*machine)->AttachCurrentThreadAsDaemon(machine, &env, NULL);
#endif
    if (failed) return NULL;
    *attached = 1;
    return env;
}

/* On a thread of the engine's. It is attached for the one call: when the engine ends its threads is its own affair. */
static void on_chunk(void *data, const Chunk *chunk) {
    const Session *session = data;
    const char *error = litert_lm_stream_chunk_get_error(chunk);
    const char *text = error ? error : litert_lm_stream_chunk_get_text(chunk);
    jboolean last = error || litert_lm_stream_chunk_is_final(chunk);
    int attached;
    JNIEnv *env = attach(session->machine, &attached);
    if (!env) return; /* out of memory: the virtual machine is at its end */
    jbyteArray bytes = bytes_of(env, text);
    /* Without memory for the text the end must arrive all the same, as a failure. */
    jboolean failed = error || (*env)->ExceptionCheck(env);
    (*env)->ExceptionClear(env);
    (*env)->CallVoidMethod(env, session->sink, session->on_chunk, bytes, failed, last);
    (*env)->ExceptionClear(env); /* the sink throws nothing; the engine could do nothing with it */
    if (bytes) (*env)->DeleteLocalRef(env, bytes);
    if (attached) (*session->machine)->DetachCurrentThread(session->machine);
}

static Talk *begin(JNIEnv *env, Engine *engine, const char *history, const char *tools, SessionConfig *config,
                   jboolean thinking) {
    TalkConfig *settings = litert_lm_conversation_config_create();
    if (!settings) {
        fail(env, "no settings for a conversation");
        return NULL;
    }
    litert_lm_conversation_config_set_session_config(settings, config); /* copied */
    if (history) litert_lm_conversation_config_set_messages(settings, history);
    if (tools) litert_lm_conversation_config_set_tools(settings, tools);
    Thinking *thought = thinking ? litert_lm_thinking_config_create() : NULL; /* on; without one it is off */
    if (thought) {
        litert_lm_conversation_config_set_thinking_config(settings, thought);
        litert_lm_thinking_config_delete(thought);
    }
    Talk *talk = litert_lm_conversation_create(engine, settings);
    if (!talk) fail(env, "the engine begins no conversation");
    litert_lm_conversation_config_delete(settings);
    return talk;
}

static void release(JNIEnv *env, Session *session) {
    if (session->talk) litert_lm_conversation_delete(session->talk);
    if (session->sink) (*env)->DeleteGlobalRef(env, session->sink);
    free(session);
}

NATIVE(jlong, start)(JNIEnv *env, jclass type, jlong engine, jobject sink, jbyteArray history, jbyteArray tools,
                     jint top_k, jfloat top_p, jfloat temperature, jint seed, jint limit, jint drafts,
                     jboolean thinking) {
    (void)type;
    Session *session = malloc(sizeof *session);
    if (!session) {
        fail_memory(env);
        return 0;
    }
    session->talk = NULL;
    session->sink = (*env)->NewGlobalRef(env, sink);
    session->on_chunk = (*env)->GetMethodID(env, (*env)->GetObjectClass(env, sink), "onChunk", "([BZZ)V");
    if (session->sink && session->on_chunk && !(*env)->GetJavaVM(env, &session->machine)) {
        char *text = text_of(env, history);
        char *declared = (*env)->ExceptionCheck(env) ? NULL : text_of(env, tools);
        SessionConfig *config =
            (*env)->ExceptionCheck(env) ? NULL : session_config(env, top_k, top_p, temperature, seed, limit);
        if (config) {
            /* Always said where there is a drafter: a session that says nothing does as the one before it did. */
            if (drafts >= 0) litert_lm_session_config_set_enable_speculative_decoding(config, drafts > 0);
            session->talk = begin(env, (Engine *)(intptr_t)engine, text, declared, config, thinking);
            litert_lm_session_config_delete(config);
        }
        free(declared);
        free(text);
    }
    if (session->talk) return (jlong)(intptr_t)session;
    fail_memory(env); /* unless something else is pending */
    release(env, session);
    return 0;
}

NATIVE(void, send)(JNIEnv *env, jclass type, jlong handle, jbyteArray message) {
    (void)type;
    Session *session = (Session *)(intptr_t)handle;
    char *text = text_of(env, message);
    if (!text) return;
    if (litert_lm_conversation_send_message_stream(session->talk, text, NULL, NULL, on_chunk, session)) {
        fail(env, "the engine does not take the message");
    }
    free(text);
}

NATIVE(void, cancel)(JNIEnv *env, jclass type, jlong handle) {
    (void)env, (void)type;
    litert_lm_conversation_cancel_process(((Session *)(intptr_t)handle)->talk);
}

NATIVE(jbyteArray, render)(JNIEnv *env, jclass type, jlong handle, jbyteArray message) {
    (void)type;
    char *text = text_of(env, message);
    if (!text) return NULL;
    const char *out = litert_lm_conversation_render_message_to_string(((Session *)(intptr_t)handle)->talk, text);
    free(text);
    if (!out) fail(env, "the engine does not render the message");
    return bytes_of(env, out);
}

/* Tokens, tokens per second and seconds to the first token, of the last answer; null where nothing was measured. */
NATIVE(jdoubleArray, speed)(JNIEnv *env, jclass type, jlong handle) {
    (void)type;
    Benchmark *info = litert_lm_conversation_get_benchmark_info(((Session *)(intptr_t)handle)->talk);
    if (!info) return NULL;
    jdoubleArray out = NULL;
    int turn = litert_lm_benchmark_info_get_num_decode_turns(info) - 1;
    if (turn >= 0) {
        jdouble values[] = {
            litert_lm_benchmark_info_get_decode_token_count_at(info, turn),
            litert_lm_benchmark_info_get_decode_tokens_per_sec_at(info, turn),
            litert_lm_benchmark_info_get_time_to_first_token(info),
        };
        out = (*env)->NewDoubleArray(env, 3);
        if (out) (*env)->SetDoubleArrayRegion(env, out, 0, 3, values);
    }
    litert_lm_benchmark_info_delete(info);
    return out;
}

NATIVE(jint, taken)(JNIEnv *env, jclass type, jlong handle) {
    (void)env, (void)type;
    return litert_lm_conversation_get_token_count(((Session *)(intptr_t)handle)->talk);
}

NATIVE(void, end)(JNIEnv *env, jclass type, jlong handle) {
    (void)type;
    release(env, (Session *)(intptr_t)handle);
}
