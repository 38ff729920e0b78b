#include "bridge.h"

char *text_of(JNIEnv *env, jbyteArray bytes) {
    if (!bytes) return NULL;
    jsize length = (*env)->GetArrayLength(env, bytes);
    char *text = malloc((size_t)length + 1);
    if (!text) {
        fail_memory(env);
        return NULL;
    }
    (*env)->GetByteArrayRegion(env, bytes, 0, length, (jbyte *)text);
    text[length] = 0;
    return text;
}

jbyteArray bytes_of(JNIEnv *env, const char *text) {
    if (!text) return NULL;
    size_t length = strlen(text);
    jbyteArray bytes = length > INT32_MAX ? NULL : (*env)->NewByteArray(env, (jsize)length);
    if (!bytes) {
        fail_memory(env);
        return NULL;
    }
    (*env)->SetByteArrayRegion(env, bytes, 0, (jsize)length, (const jbyte *)text);
    return bytes;
}

static size_t add(char *out, size_t at, size_t room, const char *text) {
    /* ThrowNew wants modified UTF-8: ASCII is the same in both. */
    for (; *text && at + 1 < room; text++) out[at++] = *text >= ' ' && *text <= '~' ? *text : '?';
    out[at] = 0;
    return at;
}

static void throw(JNIEnv *env, const char *message) {
    if ((*env)->ExceptionCheck(env)) return;
    jclass type = (*env)->FindClass(env, "dev/gemmabridge/core/EngineException");
    if (type) (*env)->ThrowNew(env, type, message);
}

void fail(JNIEnv *env, const char *what) {
    char message[1024];
    const char *said = litert_lm_get_last_error_message();
    size_t at = add(message, 0, sizeof message, what);
    if (said && *said) at = add(message, add(message, at, sizeof message, ": "), sizeof message, said);
    throw(env, message);
}

void fail_memory(JNIEnv *env) { throw(env, "out of memory"); }

SessionConfig *session_config(JNIEnv *env, jint top_k, jfloat top_p, jfloat temperature, jint seed, jint limit) {
    SessionConfig *config = litert_lm_session_config_create();
    if (!config) {
        fail(env, "no settings for a session");
        return NULL;
    }
    if (limit > 0) litert_lm_session_config_set_max_output_tokens(config, limit);
    if (top_k < 1) return config;
    Sampler *sampler = litert_lm_sampler_params_create(SAMPLER_TOP_P);
    if (!sampler) {
        fail(env, "no settings for a sampler");
        litert_lm_session_config_delete(config);
        return NULL;
    }
    litert_lm_sampler_params_set_top_k(sampler, top_k);
    litert_lm_sampler_params_set_top_p(sampler, top_p);
    litert_lm_sampler_params_set_temperature(sampler, temperature);
    litert_lm_sampler_params_set_seed(sampler, seed);
    litert_lm_session_config_set_sampler_params(config, sampler); /* copied */
    litert_lm_sampler_params_delete(sampler);
    return config;
}
