"""The stock engine's own benchmark of a ``.litertlm``: a prompt of random tokens, then single ones.

``python -m tests.bench.peers.ours FILE CONTEXT PROMPT ANSWER THREADS CACHE`` prints JSON. CACHE is the folder in which
the engine keeps packed weights between two starts.
"""

from __future__ import annotations

import json
import sys


def measure(file: str, context: int, prompt: int, answer: int, threads: int, cache: str) -> dict[str, float]:
    """Seconds until ready and until the first token, tokens a second."""
    from litert_lm import Backend, Benchmark, LogSeverity, set_min_log_severity

    set_min_log_severity(LogSeverity.ERROR)
    info = Benchmark(
        file,
        Backend.CPU(thread_count=threads),
        prefill_tokens=prompt,
        decode_tokens=answer,
        max_num_tokens=context,
        cache_dir=cache,
    ).run()
    if (info.last_prefill_token_count, info.last_decode_token_count) != (prompt, answer):
        counted = f"{info.last_prefill_token_count} and {info.last_decode_token_count}"
        raise SystemExit(f"error: the engine was asked for {prompt} and {answer} tokens and counted {counted}")
    return {
        "ready": info.init_time_in_second,
        "first": info.time_to_first_token_in_second,
        "prefill": info.last_prefill_tokens_per_second,
        "decode": info.last_decode_tokens_per_second,
    }


if __name__ == "__main__":
    context, prompt, answer, threads = map(int, sys.argv[2:6])
    print(json.dumps(measure(sys.argv[1], context, prompt, answer, threads, sys.argv[6])))  # noqa: T201
