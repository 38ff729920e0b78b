/* The functions of LiteRT-LM 0.18's C library that the shim calls. Opaque pointers; text is UTF-8 and ends with 0.
 * Whatever `create` or `get_benchmark_info` gives is the caller's, and goes back by the `delete` of its kind. Text and
 * arrays that a getter gives belong to the object they come from. */
#ifndef GEMMABRIDGE_LITERT_LM_H
#define GEMMABRIDGE_LITERT_LM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct LiteRtLmEngineSettings Settings;
typedef struct LiteRtLmEngine Engine;
typedef struct LiteRtLmSamplerParams Sampler;
typedef struct LiteRtLmSessionConfig SessionConfig;
typedef struct LiteRtLmSession PlainSession;
typedef struct LiteRtLmInputData Input;
typedef struct LiteRtLmResponses Responses;
typedef struct LiteRtLmConversationConfig TalkConfig;
typedef struct LiteRtLmThinkingConfig Thinking;
typedef struct LiteRtLmConversation Talk;
typedef struct LiteRtLmConversationOptionalArgs TalkArguments;
typedef struct LiteRtLmStreamChunk Chunk;
typedef struct LiteRtLmBenchmarkInfo Benchmark;
typedef struct LiteRtLmTokenizeResult Tokens;
typedef struct LiteRtLmDetokenizeResult Detokenized;

enum { LOG_SILENT = 1000, SAMPLER_TOP_P = 2, INPUT_TEXT = 0 };

/* Of the last call of this thread; "" when it succeeded. */
const char *litert_lm_get_last_error_message(void);
void litert_lm_set_min_log_level(int level);

/* A model in memory. Without a vision backend a message with an image is refused; of the audio's the same is true. */
Settings *litert_lm_engine_settings_create(const char *path, const char *backend, const char *vision, const char *audio);
void litert_lm_engine_settings_delete(Settings *);
void litert_lm_engine_settings_set_cache_dir(Settings *, const char *folder);
void litert_lm_engine_settings_set_num_threads(Settings *, int);
void litert_lm_engine_settings_set_max_num_tokens(Settings *, int);
void litert_lm_engine_settings_set_max_num_images(Settings *, int);
void litert_lm_engine_settings_enable_benchmark(Settings *);
Engine *litert_lm_engine_create(const Settings *);
void litert_lm_engine_delete(Engine *);

/* How tokens are chosen. */
Sampler *litert_lm_sampler_params_create(int type);
void litert_lm_sampler_params_delete(Sampler *);
void litert_lm_sampler_params_set_top_k(Sampler *, int32_t);
void litert_lm_sampler_params_set_top_p(Sampler *, float);
void litert_lm_sampler_params_set_temperature(Sampler *, float);
void litert_lm_sampler_params_set_seed(Sampler *, int32_t);
SessionConfig *litert_lm_session_config_create(void);
void litert_lm_session_config_delete(SessionConfig *);
void litert_lm_session_config_set_sampler_params(SessionConfig *, const Sampler *);
void litert_lm_session_config_set_max_output_tokens(SessionConfig *, int);
void litert_lm_session_config_set_apply_prompt_template(SessionConfig *, bool);
void litert_lm_session_config_set_enable_speculative_decoding(SessionConfig *, bool);

/* Text without a template. Both run functions block. */
PlainSession *litert_lm_engine_create_session(Engine *, SessionConfig *);
void litert_lm_session_delete(PlainSession *);
Input *litert_lm_input_data_create(int type, const void *data, size_t bytes);
void litert_lm_input_data_delete(Input *);
int litert_lm_session_run_prefill(PlainSession *, const Input *const *, size_t count);
Responses *litert_lm_session_run_decode(PlainSession *);
void litert_lm_responses_delete(Responses *);
const char *litert_lm_responses_get_response_text_at(const Responses *, int index);

/* A conversation. Messages are JSON; the callback comes on a thread of the engine's, its chunk is valid within it. */
TalkConfig *litert_lm_conversation_config_create(void);
void litert_lm_conversation_config_delete(TalkConfig *);
void litert_lm_conversation_config_set_session_config(TalkConfig *, const SessionConfig *);
void litert_lm_conversation_config_set_messages(TalkConfig *, const char *messages);
void litert_lm_conversation_config_set_tools(TalkConfig *, const char *tools);
void litert_lm_conversation_config_set_thinking_config(TalkConfig *, const Thinking *);
Thinking *litert_lm_thinking_config_create(void);
void litert_lm_thinking_config_delete(Thinking *);
Talk *litert_lm_conversation_create(Engine *, TalkConfig *);
void litert_lm_conversation_delete(Talk *);
void litert_lm_conversation_cancel_process(Talk *);
int litert_lm_conversation_get_token_count(Talk *);
const char *litert_lm_conversation_render_message_to_string(Talk *, const char *message);
int litert_lm_conversation_send_message_stream(Talk *, const char *message, const char *context, const TalkArguments *,
                                               void (*callback)(void *data, const Chunk *), void *data);
const char *litert_lm_stream_chunk_get_text(const Chunk *);
const char *litert_lm_stream_chunk_get_error(const Chunk *);
bool litert_lm_stream_chunk_is_final(const Chunk *);

/* Speed of each turn; null where nothing was measured. */
Benchmark *litert_lm_conversation_get_benchmark_info(Talk *);
void litert_lm_benchmark_info_delete(Benchmark *);
double litert_lm_benchmark_info_get_time_to_first_token(const Benchmark *);
int litert_lm_benchmark_info_get_num_decode_turns(const Benchmark *);
int litert_lm_benchmark_info_get_decode_token_count_at(const Benchmark *, int turn);
double litert_lm_benchmark_info_get_decode_tokens_per_sec_at(const Benchmark *, int turn);

/* The tokenizer. */
Tokens *litert_lm_engine_tokenize(Engine *, const char *text);
void litert_lm_tokenize_result_delete(Tokens *);
const int *litert_lm_tokenize_result_get_tokens(const Tokens *);
size_t litert_lm_tokenize_result_get_num_tokens(const Tokens *);
Detokenized *litert_lm_engine_detokenize(Engine *, const int *tokens, size_t count);
void litert_lm_detokenize_result_delete(Detokenized *);
const char *litert_lm_detokenize_result_get_string(const Detokenized *);

#endif
