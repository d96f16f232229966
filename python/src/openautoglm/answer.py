"""What comes back: texts that know how they were made."""
from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class TokenLogprob:
    """A candidate with its natural-log probability, of softmax over the raw logits."""

    id: int
    logprob: float


class Token(str):
    """A piece of an answer as it streams: the text that one token completed, maybe empty.

    It is a str, so `print(token, end="")` and `"".join(stream)` do what one expects.
    """

    id: int | None
    """The token; None for text that came out only at the end."""
    position: int
    """0 for the first generated token."""
    logprob: float | None
    """Of the token; None unless top_logprobs asked for it."""
    top_logprobs: tuple[TokenLogprob, ...]
    """Candidates, most likely first."""

    __slots__ = ("id", "position", "logprob", "top_logprobs")

    def __new__(cls, text: str, id: int | None, position: int, logprob: float | None = None,
                top_logprobs: tuple[TokenLogprob, ...] = ()) -> Token:
        token = super().__new__(cls, text)
        token.id = id
        token.position = position
        token.logprob = logprob
        token.top_logprobs = top_logprobs
        return token


@dataclasses.dataclass(frozen=True)
class Usage:
    """How many tokens an answer took, and how long; times in seconds."""

    prompt_tokens: int
    cached_tokens: int
    """Of the prompt's, those found in the prefix cache."""
    completion_tokens: int
    queue_time: float
    """From asking to the first step."""
    prefill_time: float
    """From there to the first token."""
    decode_time: float
    """From the first to the last token."""


class Answer(str):
    """A whole answer: its text, a str, with the facts about it."""

    finish_reason: str
    """"stop", "length" or "cancelled"."""
    tokens: tuple[Token, ...]
    usage: Usage

    def __new__(cls, text: str, finish_reason: str, tokens: tuple[Token, ...], usage: Usage) -> Answer:
        answer = super().__new__(cls, text)
        answer.finish_reason = finish_reason
        answer.tokens = tokens
        answer.usage = usage
        return answer

    @property
    def text(self) -> str:
        """The text as a plain str."""
        return str(self)

    @property
    def token_ids(self) -> list[int]:
        """The generated tokens, the one that stopped the answer included."""
        return [t.id for t in self.tokens if t.id is not None]


@dataclasses.dataclass(frozen=True)
class EngineInfo:
    """The loaded model and how it runs here."""

    architecture: str
    name: str
    isa: str
    n_vocab: int
    n_layers: int
    n_embd: int
    context_length: int
    """Tokens that one sequence may use here."""
    train_context: int
    """Tokens that the model was made for."""
    n_threads: int
    n_params: int
    file_bytes: int
    weight_bytes: int
    """Packed, in memory."""
    weight_type: str
    """What most weights are computed in: "Q4_K"."""
    bits_per_weight: float
    digest: str
    """SHA-256 of the files, where they were registered under the name; else empty."""
    kv_bytes: int
    kv_tokens: int
    scratch_bytes: int
    has_chat_template: bool
    generates: bool
    """False: an encoder, for embed() only."""
    pooling: str | None
    """How it embeds by itself; None: it was not made for that."""
    device_map: str
    """What runs where: "token_embd=cpu,0-23=cpu,..."."""


@dataclasses.dataclass(frozen=True)
class EngineStats:
    """Counters since the engine was opened (n_...), and how it stands."""

    n_steps: int
    """Steps computed; each carries rows of many requests."""
    n_rows: int
    """Tokens computed in them, of prompts and of answers."""
    n_steps_of: tuple[int, ...]
    """[i] of the n_steps had at most 2**i rows, and more than 2**(i-1); the last one: all larger."""
    n_generated: int
    n_requests: int
    n_submitted: int
    n_succeeded: int
    n_failed: int
    n_cancelled: int
    n_expired: int
    n_rejected_requests: int
    n_rejected_tokens: int
    n_rejected_late: int
    n_rejected_share: int
    n_step_us: int
    n_prefill_rows: int
    n_decode_rows: int
    n_drafted: int
    n_drafts_true: int
    n_preempted: int
    n_prefix_queried: int
    n_prefix_found: int
    running: int
    waiting: int
    paused: int
    waiting_tokens: int
    kv_blocks: int
    kv_blocks_used: int
    kv_blocks_cached: int
    kv_block_tokens: int
    step_age_us: int
    tokens_per_s: float
    requests_per_s: float
    queue_wait_s: float
    retry_after_s: float
