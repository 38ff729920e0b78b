"""The stock engine on a ``.litertlm``: a prompt, then single tokens, timed by the engine itself.

``python -m tests.bench.peers.ours FILE CONTEXT PROMPT ANSWER THREADS CACHE`` prints JSON. CACHE is the folder in which
the engine keeps packed weights between two starts. The binding's ``Benchmark`` is no help: it takes the places of its
prompt in the cache twice, so that a prompt of half the context leaves room for one token.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from convert import guard
from convert.errors import ArtifactError

PIECES = (" a", "a", " b", "1", " 1")


def timed(
    file: str,
    context: int,
    prompt: int,
    answer: int,
    threads: int,
    cache: str,
    reached: Callable[[str], None] = lambda what: None,
) -> Any:
    """The engine's figures of a prompt of so many tokens and of what follows, which a model may end before ``answer``.

    Args:
        reached: hears ``ready`` and ``prefilled``.

    Raises:
        ArtifactError: no text of so many tokens is known.
    """
    import litert_lm

    litert_lm.set_min_log_severity(litert_lm.LogSeverity.ERROR)
    cpu = litert_lm.Backend.CPU(thread_count=threads)
    greedy = litert_lm.SamplerConfig(top_k=1, top_p=1.0, temperature=1.0, seed=1)
    engine = litert_lm.Engine(file, backend=cpu, max_num_tokens=context, cache_dir=cache, enable_benchmark=True)
    with (
        engine,
        engine.create_session(apply_prompt_template=False, sampler_config=greedy, max_output_tokens=answer) as session,
    ):
        reached("ready")
        session.run_prefill([_text(engine, prompt - 1)])  # the engine puts the start token before it
        reached("prefilled")
        session.run_decode()
        return session.get_benchmark_info()


def measure(file: str, context: int, prompt: int, answer: int, threads: int, cache: str) -> dict[str, float]:
    """Seconds until ready and until the first token, tokens a second.

    Raises:
        ArtifactError: the engine did not take so many tokens, or the model ended its answer before it had so many.
    """
    info = timed(file, context, prompt, answer, threads, cache)
    if (info.last_prefill_token_count, info.last_decode_token_count) != (prompt, answer):
        found = f"the engine counted {info.last_prefill_token_count} and {info.last_decode_token_count}"
        asked = f"a prompt of {prompt} tokens and {answer} after it"
        raise ArtifactError(asked, found, "Give a checkpoint that does not end its answers so early")
    return {
        "ready": info.init_time_in_second,
        "first": info.time_to_first_token_in_second,
        "prefill": info.last_prefill_tokens_per_second,
        "decode": info.last_decode_tokens_per_second,
    }


def _text(engine: Any, tokens: int) -> str:
    """A text of so many tokens.

    Raises:
        ArtifactError: no repeated piece makes it.
    """
    for piece in PIECES:
        if len(engine.tokenize(piece * tokens)) == tokens:
            return piece * tokens
    raise ArtifactError(f"a prompt of {tokens} tokens", "this tokenizer makes none of the known pieces", "Report it")


def _main() -> str:
    context, prompt, answer, threads = map(int, sys.argv[2:6])
    return json.dumps(measure(sys.argv[1], context, prompt, answer, threads, sys.argv[6])) + "\n"


if __name__ == "__main__":
    guard.guarded(lambda: print(_main(), end=""))  # noqa: T201
