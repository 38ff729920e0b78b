/* The functions of LiteRT-LM's C library that the sample calls.
 *
 * Source: `c/engine.h` of github.com/google-ai-edge/LiteRT-LM (Apache-2.0); the Python package litert-lm-api 0.18.1,
 * which brings the library that the tests run, declares the same in `litert_lm/_ffi.py`. Enumerations are passed as
 * `int`.
 *
 * Opaque pointers; text is UTF-8 and ends with 0. Whatever `create`, `run_decode`, `tokenize`, `detokenize` or
 * `get_benchmark_info` gives is the caller's, and goes back by the `delete` of its kind; null when it failed. Text and
 * arrays that a getter gives belong to the object they come from. */
#ifndef GEMMA_LITERT_LM_H
#define GEMMA_LITERT_LM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

typedef struct LiteRtLmEngineSettings LiteRtLmEngineSettings;
typedef struct LiteRtLmEngine LiteRtLmEngine;
typedef struct LiteRtLmSamplerParams LiteRtLmSamplerParams;
typedef struct LiteRtLmSessionConfig LiteRtLmSessionConfig;
typedef struct LiteRtLmSession LiteRtLmSession;
typedef struct LiteRtLmInputData LiteRtLmInputData;
typedef struct LiteRtLmResponses LiteRtLmResponses;
typedef struct LiteRtLmConversationConfig LiteRtLmConversationConfig;
typedef struct LiteRtLmThinkingConfig LiteRtLmThinkingConfig;
typedef struct LiteRtLmConversation LiteRtLmConversation;
typedef struct LiteRtLmConversationOptionalArgs LiteRtLmConversationOptionalArgs;
typedef struct LiteRtLmStreamChunk LiteRtLmStreamChunk;
typedef struct LiteRtLmBenchmarkInfo LiteRtLmBenchmarkInfo;
typedef struct LiteRtLmTokenizeResult LiteRtLmTokenizeResult;
typedef struct LiteRtLmDetokenizeResult LiteRtLmDetokenizeResult;

/* kLiteRtLmLogSeveritySilent, kLiteRtLmSamplerTypeTopP, kLiteRtLmInputDataTypeText */
enum { LITERT_LOG_SILENT = 1000, LITERT_SAMPLER_TOP_P = 2, LITERT_INPUT_TEXT = 0 };

/* Of the last call of this thread; "" when it succeeded. */
const char *_Nullable litert_lm_get_last_error_message(void);
void litert_lm_set_min_log_level(int level);

/* A model in memory. Where the vision backend is null a message with an image is refused; of audio the same is true. */
LiteRtLmEngineSettings *_Nullable litert_lm_engine_settings_create(const char *path, const char *backend,
                                                                  const char *_Nullable vision,
                                                                  const char *_Nullable audio);
void litert_lm_engine_settings_delete(LiteRtLmEngineSettings *);
void litert_lm_engine_settings_set_cache_dir(LiteRtLmEngineSettings *, const char *folder);
void litert_lm_engine_settings_set_num_threads(LiteRtLmEngineSettings *, int);
void litert_lm_engine_settings_set_max_num_tokens(LiteRtLmEngineSettings *, int);
void litert_lm_engine_settings_set_max_num_images(LiteRtLmEngineSettings *, int);
void litert_lm_engine_settings_enable_benchmark(LiteRtLmEngineSettings *);
LiteRtLmEngine *_Nullable litert_lm_engine_create(const LiteRtLmEngineSettings *);
void litert_lm_engine_delete(LiteRtLmEngine *);

/* How tokens are chosen. What is set is copied. */
LiteRtLmSamplerParams *_Nullable litert_lm_sampler_params_create(int type);
void litert_lm_sampler_params_delete(LiteRtLmSamplerParams *);
void litert_lm_sampler_params_set_top_k(LiteRtLmSamplerParams *, int32_t);
void litert_lm_sampler_params_set_top_p(LiteRtLmSamplerParams *, float);
void litert_lm_sampler_params_set_temperature(LiteRtLmSamplerParams *, float);
void litert_lm_sampler_params_set_seed(LiteRtLmSamplerParams *, int32_t);
LiteRtLmSessionConfig *_Nullable litert_lm_session_config_create(void);
void litert_lm_session_config_delete(LiteRtLmSessionConfig *);
void litert_lm_session_config_set_sampler_params(LiteRtLmSessionConfig *, const LiteRtLmSamplerParams *);
void litert_lm_session_config_set_max_output_tokens(LiteRtLmSessionConfig *, int);
void litert_lm_session_config_set_apply_prompt_template(LiteRtLmSessionConfig *, bool);

/* Text without a template. Both run functions block; the first gives 0 when it succeeded. */
LiteRtLmSession *_Nullable litert_lm_engine_create_session(LiteRtLmEngine *, LiteRtLmSessionConfig *);
void litert_lm_session_delete(LiteRtLmSession *);
LiteRtLmInputData *_Nullable litert_lm_input_data_create(int type, const void *data, size_t bytes);
void litert_lm_input_data_delete(LiteRtLmInputData *);
int litert_lm_session_run_prefill(LiteRtLmSession *, const LiteRtLmInputData *_Nonnull const *_Nonnull inputs,
                                  size_t count);
LiteRtLmResponses *_Nullable litert_lm_session_run_decode(LiteRtLmSession *);
void litert_lm_responses_delete(LiteRtLmResponses *);
const char *_Nullable litert_lm_responses_get_response_text_at(const LiteRtLmResponses *, int index);

/* A conversation. Messages are JSON. The callback comes on a thread of the engine's, its chunk is valid within it. */
typedef void (*LiteRtLmStreamCallback)(void *_Nullable data, const LiteRtLmStreamChunk *_Nullable chunk);
LiteRtLmConversationConfig *_Nullable litert_lm_conversation_config_create(void);
void litert_lm_conversation_config_delete(LiteRtLmConversationConfig *);
void litert_lm_conversation_config_set_session_config(LiteRtLmConversationConfig *, const LiteRtLmSessionConfig *);
void litert_lm_conversation_config_set_messages(LiteRtLmConversationConfig *, const char *messages);
void litert_lm_conversation_config_set_thinking_config(LiteRtLmConversationConfig *, const LiteRtLmThinkingConfig *);
LiteRtLmThinkingConfig *_Nullable litert_lm_thinking_config_create(void);
void litert_lm_thinking_config_delete(LiteRtLmThinkingConfig *);
LiteRtLmConversation *_Nullable litert_lm_conversation_create(LiteRtLmEngine *, LiteRtLmConversationConfig *);
void litert_lm_conversation_delete(LiteRtLmConversation *);
void litert_lm_conversation_cancel_process(LiteRtLmConversation *);
int litert_lm_conversation_get_token_count(LiteRtLmConversation *);
const char *_Nullable litert_lm_conversation_render_message_to_string(LiteRtLmConversation *, const char *message);
int litert_lm_conversation_send_message_stream(LiteRtLmConversation *, const char *message,
                                               const char *_Nullable context,
                                               const LiteRtLmConversationOptionalArgs *_Nullable,
                                               LiteRtLmStreamCallback callback, void *_Nullable data);
const char *_Nullable litert_lm_stream_chunk_get_text(const LiteRtLmStreamChunk *);
const char *_Nullable litert_lm_stream_chunk_get_error(const LiteRtLmStreamChunk *);
bool litert_lm_stream_chunk_is_final(const LiteRtLmStreamChunk *);

/* Speed of each turn. */
LiteRtLmBenchmarkInfo *_Nullable litert_lm_conversation_get_benchmark_info(LiteRtLmConversation *);
void litert_lm_benchmark_info_delete(LiteRtLmBenchmarkInfo *);
double litert_lm_benchmark_info_get_time_to_first_token(const LiteRtLmBenchmarkInfo *);
int litert_lm_benchmark_info_get_num_decode_turns(const LiteRtLmBenchmarkInfo *);
int litert_lm_benchmark_info_get_decode_token_count_at(const LiteRtLmBenchmarkInfo *, int turn);
double litert_lm_benchmark_info_get_decode_tokens_per_sec_at(const LiteRtLmBenchmarkInfo *, int turn);

/* The tokenizer. */
LiteRtLmTokenizeResult *_Nullable litert_lm_engine_tokenize(LiteRtLmEngine *, const char *text);
void litert_lm_tokenize_result_delete(LiteRtLmTokenizeResult *);
const int *_Nullable litert_lm_tokenize_result_get_tokens(const LiteRtLmTokenizeResult *);
size_t litert_lm_tokenize_result_get_num_tokens(const LiteRtLmTokenizeResult *);
LiteRtLmDetokenizeResult *_Nullable litert_lm_engine_detokenize(LiteRtLmEngine *, const int *tokens, size_t count);
void litert_lm_detokenize_result_delete(LiteRtLmDetokenizeResult *);
const char *_Nullable litert_lm_detokenize_result_get_string(const LiteRtLmDetokenizeResult *);

#pragma clang assume_nonnull end

#endif
