"""Errors of the engine: one class for every code of the C library.

All are AutoGLMError; each is also the builtin that fits, so `except FileNotFoundError` and
`except MemoryError` work as one expects. The message is the library's: what, where, what to do.
"""
from __future__ import annotations

from typing import ClassVar


class AutoGLMError(Exception):
    """Base of all errors of the engine."""

    code: ClassVar[str] = "internal_error"
    """Short stable name of the error, as the C library and the HTTP API use it."""
    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later."""


class InvalidArgumentError(AutoGLMError, ValueError):
    """An argument is out of range or of the wrong kind; the message names it."""

    code = "invalid_argument"


class InvalidTextError(AutoGLMError, ValueError):
    """A text is not valid Unicode."""

    code = "invalid_utf8"


class ChatTemplateError(AutoGLMError, ValueError):
    """The model has no usable chat template, or the template refused the messages."""

    code = "template_error"


class ContextLengthError(AutoGLMError, ValueError):
    """The prompt does not fit into the context; the message has both counts."""

    code = "context_length_exceeded"


class LimitError(AutoGLMError, ValueError):
    """An input is larger than any that is accepted."""

    code = "limit_exceeded"


class GrammarError(AutoGLMError, ValueError):
    """A schema, regular expression or grammar is wrong, unsupported or allows nothing."""

    code = "invalid_grammar"


class ModelNotFoundError(AutoGLMError, FileNotFoundError):
    """There is no model of this name."""

    code = "not_found"


class RequestCancelledError(AutoGLMError):
    """The request was cancelled before it ended."""

    code = "cancelled"


class DeadlineError(AutoGLMError, TimeoutError):
    """The request was not done within its `timeout_ms` or `max_queue_ms`."""

    code = "deadline_exceeded"


class ModelFormatError(AutoGLMError, ValueError):
    """A model file is damaged or inconsistent; the message says where."""

    code = "bad_format"


class UnsupportedError(AutoGLMError, NotImplementedError):
    """What is asked for exists, but not in this build or on this machine."""

    code = "unsupported"


class ModelReadError(AutoGLMError, OSError):
    """Reading a file failed."""

    code = "io_error"


class OutOfMemoryError(AutoGLMError, MemoryError):
    """An allocation failed."""

    code = "out_of_memory"
    retryable = True


class OutOfMemoryBudgetError(AutoGLMError, MemoryError):
    """The model does not fit into `memory_fraction` of the machine; the message shows the sum."""

    code = "memory_budget_exceeded"


class NoBlocksError(AutoGLMError, RuntimeError):
    """No room for keys and values is left just now."""

    code = "no_kv_blocks"
    retryable = True


class EngineBusyError(AutoGLMError, RuntimeError):
    """Too many requests are waiting already."""

    code = "try_again"
    retryable = True


class ShareTakenError(EngineBusyError):
    """Too many requests of this tenant are waiting already; there is room for others."""

    code = "rate_limit_exceeded"


class EngineClosedError(AutoGLMError, RuntimeError):
    """The engine was closed, or belongs to the process that this one was forked from."""

    code = "engine_closed"
    retryable = True


class InternalError(AutoGLMError, RuntimeError):
    """A fault of the engine itself."""

    code = "internal_error"


BY_CODE: dict[str, type[AutoGLMError]] = {
    c.code: c for c in (
        InvalidArgumentError, InvalidTextError, ChatTemplateError, ContextLengthError, LimitError,
        GrammarError, ModelNotFoundError, RequestCancelledError, DeadlineError, ModelFormatError,
        UnsupportedError,
        ModelReadError, OutOfMemoryError, OutOfMemoryBudgetError, NoBlocksError, EngineBusyError,
        ShareTakenError, EngineClosedError, InternalError)
}


def error_of(code: str, message: str) -> AutoGLMError:
    """The exception for a code of the library."""
    return BY_CODE.get(code, AutoGLMError)(message)
