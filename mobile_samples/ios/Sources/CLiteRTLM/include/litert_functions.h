/* The declared functions as a table of pointers, found by name in a library that is loaded at run time: the package is
 * built without LiteRT-LM, and calls none of the functions but through the table. */
#ifndef GEMMA_LITERT_FUNCTIONS_H
#define GEMMA_LITERT_FUNCTIONS_H

#include "litert_lm.h"

#define LITERT_FUNCTIONS(F) \
    F(get_last_error_message) \
    F(set_min_log_level) \
    F(engine_settings_create) \
    F(engine_settings_delete) \
    F(engine_settings_set_cache_dir) \
    F(engine_settings_set_num_threads) \
    F(engine_settings_set_max_num_tokens) \
    F(engine_settings_set_max_num_images) \
    F(engine_settings_enable_benchmark) \
    F(engine_create) \
    F(engine_delete) \
    F(sampler_params_create) \
    F(sampler_params_delete) \
    F(sampler_params_set_top_k) \
    F(sampler_params_set_top_p) \
    F(sampler_params_set_temperature) \
    F(sampler_params_set_seed) \
    F(session_config_create) \
    F(session_config_delete) \
    F(session_config_set_sampler_params) \
    F(session_config_set_max_output_tokens) \
    F(session_config_set_apply_prompt_template) \
    F(engine_create_session) \
    F(session_delete) \
    F(input_data_create) \
    F(input_data_delete) \
    F(session_run_prefill) \
    F(session_run_decode) \
    F(responses_delete) \
    F(responses_get_response_text_at) \
    F(conversation_config_create) \
    F(conversation_config_delete) \
    F(conversation_config_set_session_config) \
    F(conversation_config_set_messages) \
    F(conversation_config_set_thinking_config) \
    F(thinking_config_create) \
    F(thinking_config_delete) \
    F(conversation_create) \
    F(conversation_delete) \
    F(conversation_cancel_process) \
    F(conversation_get_token_count) \
    F(conversation_render_message_to_string) \
    F(conversation_send_message_stream) \
    F(stream_chunk_get_text) \
    F(stream_chunk_get_error) \
    F(stream_chunk_is_final) \
    F(conversation_get_benchmark_info) \
    F(benchmark_info_delete) \
    F(benchmark_info_get_time_to_first_token) \
    F(benchmark_info_get_num_decode_turns) \
    F(benchmark_info_get_decode_token_count_at) \
    F(benchmark_info_get_decode_tokens_per_sec_at) \
    F(engine_tokenize) \
    F(tokenize_result_delete) \
    F(tokenize_result_get_tokens) \
    F(tokenize_result_get_num_tokens) \
    F(engine_detokenize) \
    F(detokenize_result_delete) \
    F(detokenize_result_get_string)

typedef struct {
#define FIELD(name) __typeof__(litert_lm_##name) *_Nonnull name;
    LITERT_FUNCTIONS(FIELD)
#undef FIELD
} LiteRTFunctions;

/* Finds every function in `library`, a handle of dlopen. Returns the table, which is never freed; null where a function
 * is missing, and its name in `missing` then. */
const LiteRTFunctions *_Nullable litert_functions(void *_Nonnull library, const char *_Nullable *_Nonnull missing);

#endif
