"""AutoGLM Engine: serving language models on CPUs, from Python.

    from openautoglm import AutoGLMEngine

    with AutoGLMEngine("model.gguf") as engine:
        print(engine.chat([{"role": "user", "content": "What is the capital of France?"}]))
"""
from ._native import VERSION as __version__
from .answer import Answer, EngineInfo, EngineStats, Token, TokenLogprob, Usage
from .engine import AutoGLMEngine, Message, Messages, Prompt
from .errors import (AutoGLMError, ChatTemplateError, ContextLengthError, DeadlineError,
                     EngineBusyError, EngineClosedError, GrammarError, InternalError,
                     InvalidArgumentError, InvalidTextError, LimitError, ModelFormatError,
                     ModelNotFoundError, ModelReadError, NoBlocksError, OutOfMemoryBudgetError,
                     OutOfMemoryError, RequestCancelledError, ShareTakenError, UnsupportedError)
from .library import LibraryNotFoundError
from .options import RequestOptions, SamplingOptions
from .registry import default_registry
from .streams import AsyncStream, Stream

__all__ = [
    "Answer", "AsyncStream", "AutoGLMEngine", "AutoGLMError", "ChatTemplateError", "ContextLengthError",
    "DeadlineError", "EngineBusyError", "EngineClosedError", "EngineInfo", "EngineStats", "GrammarError",
    "InternalError", "InvalidArgumentError", "InvalidTextError", "LibraryNotFoundError", "LimitError",
    "Message", "Messages", "ModelFormatError", "ModelNotFoundError", "ModelReadError", "NoBlocksError",
    "OutOfMemoryBudgetError", "OutOfMemoryError", "Prompt", "RequestCancelledError", "RequestOptions",
    "SamplingOptions", "ShareTakenError", "Stream", "Token", "TokenLogprob", "UnsupportedError", "Usage", "__version__",
    "default_registry",
]
