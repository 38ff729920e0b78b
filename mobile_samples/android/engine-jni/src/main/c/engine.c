/* A model: load and free it, continue a text, tokens to text and back. */
#include "bridge.h"

static Engine *load(JNIEnv *env, const char *path, const char *backend, const char *cache, jint threads, jint tokens,
                    jint pictures) {
    litert_lm_set_min_log_level(LOG_SILENT);
    /* The judge saw pictures on the CPU alone, and the self-test asks nothing about any. */
    Settings *settings = litert_lm_engine_settings_create(path, backend, pictures > 0 ? "cpu" : NULL, NULL);
    if (!settings) {
        fail(env, "the engine has no settings for this model and backend");
        return NULL;
    }
    litert_lm_engine_settings_set_cache_dir(settings, cache);
    litert_lm_engine_settings_enable_benchmark(settings); /* it measures; nothing else changes */
    if (threads > 0) litert_lm_engine_settings_set_num_threads(settings, threads);
    if (tokens > 0) litert_lm_engine_settings_set_max_num_tokens(settings, tokens);
    if (pictures > 0) litert_lm_engine_settings_set_max_num_images(settings, pictures);
    Engine *engine = litert_lm_engine_create(settings);
    if (!engine) fail(env, "the engine does not load the model");
    litert_lm_engine_settings_delete(settings);
    return engine;
}

NATIVE(jlong, open)(JNIEnv *env, jclass type, jbyteArray path, jbyteArray backend, jbyteArray cache, jint threads,
                    jint tokens, jint pictures) {
    (void)type;
    Engine *engine = NULL;
    char *a = text_of(env, path), *b = a ? text_of(env, backend) : NULL, *c = b ? text_of(env, cache) : NULL;
    if (c) engine = load(env, a, b, c, threads, tokens, pictures);
    free(a);
    free(b);
    free(c);
    return (jlong)(intptr_t)engine;
}

NATIVE(void, close)(JNIEnv *env, jclass type, jlong engine) {
    (void)env, (void)type;
    litert_lm_engine_delete((Engine *)(intptr_t)engine);
}

static jbyteArray run(JNIEnv *env, PlainSession *session, const char *prompt) {
    jbyteArray out = NULL;
    Input *input = litert_lm_input_data_create(INPUT_TEXT, prompt, strlen(prompt));
    const Input *inputs[] = {input};
    if (!input || litert_lm_session_run_prefill(session, inputs, 1)) {
        fail(env, "the engine does not read the prompt");
    } else {
        Responses *responses = litert_lm_session_run_decode(session);
        if (responses) {
            const char *text = litert_lm_responses_get_response_text_at(responses, 0);
            out = bytes_of(env, text ? text : "");
            litert_lm_responses_delete(responses);
        } else {
            fail(env, "the engine does not go on with the prompt");
        }
    }
    if (input) litert_lm_input_data_delete(input);
    return out;
}

NATIVE(jbyteArray, complete)(JNIEnv *env, jclass type, jlong engine, jbyteArray prompt, jint limit) {
    (void)type;
    jbyteArray out = NULL;
    char *text = text_of(env, prompt);
    SessionConfig *config = text ? session_config(env, 1, 1.0f, 1.0f, 1, limit) : NULL;
    if (config) {
        litert_lm_session_config_set_apply_prompt_template(config, false);
        PlainSession *session = litert_lm_engine_create_session((Engine *)(intptr_t)engine, config);
        litert_lm_session_config_delete(config);
        if (session) {
            out = run(env, session, text);
            litert_lm_session_delete(session);
        } else {
            fail(env, "the engine begins no session");
        }
    }
    free(text);
    return out;
}

NATIVE(jintArray, tokenize)(JNIEnv *env, jclass type, jlong engine, jbyteArray bytes) {
    (void)type;
    char *text = text_of(env, bytes);
    if (!text) return NULL;
    jintArray out = NULL;
    Tokens *tokens = litert_lm_engine_tokenize((Engine *)(intptr_t)engine, text);
    free(text);
    if (!tokens) {
        fail(env, "the engine does not tokenize");
        return NULL;
    }
    jsize count = (jsize)litert_lm_tokenize_result_get_num_tokens(tokens);
    out = (*env)->NewIntArray(env, count);
    const jint *ids = (const jint *)litert_lm_tokenize_result_get_tokens(tokens);
    if (out && count) (*env)->SetIntArrayRegion(env, out, 0, count, ids);
    litert_lm_tokenize_result_delete(tokens);
    return out;
}

NATIVE(jbyteArray, detokenize)(JNIEnv *env, jclass type, jlong engine, jintArray tokens) {
    (void)type;
    jsize count = (*env)->GetArrayLength(env, tokens);
    jint *ids = malloc((size_t)count * sizeof *ids + 1);
    if (!ids) {
        fail_memory(env);
        return NULL;
    }
    (*env)->GetIntArrayRegion(env, tokens, 0, count, ids);
    jbyteArray out = NULL;
    Detokenized *result = litert_lm_engine_detokenize((Engine *)(intptr_t)engine, (const int *)ids, (size_t)count);
    free(ids);
    if (!result) {
        fail(env, "the engine does not detokenize");
        return NULL;
    }
    out = bytes_of(env, litert_lm_detokenize_result_get_string(result));
    litert_lm_detokenize_result_delete(result);
    return out;
}
