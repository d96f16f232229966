"""AutoGLMEngine: one loaded model."""
from __future__ import annotations

import asyncio
import json
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, TypeVar, Union, overload

from . import library, streams
from ._native import ffi
from .answer import Answer, EngineInfo, EngineStats, Token
from .errors import InvalidArgumentError
from .handle import Handle, Progress
from .options import (Keep, RequestOptions, device_map_text, model_path, type_name, utf8, write_field,
                      write_request)
from .registry import default_registry
from .request import Request, raise_error
from .streams import AsyncStream, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

Message = Mapping[str, Any]
"""{"role": "user", "content": "..."}, or anything else that OpenAI's API has for a message."""
Messages = Union[str, Sequence[Message]]
"""A conversation; a str is one message of the user."""
Tools = Union[Sequence[Mapping[str, Any]], None]
"""Descriptions of functions, as OpenAI's API has them."""
Prompt = Union[str, Sequence[int]]
"""Text, or token ids."""

Pooling = Literal["mean", "cls", "last"]

T = TypeVar("T")
Start = Callable[[Callable[["Token | None"], None]], Request]


class AutoGLMEngine:
    """A model, loaded and ready to answer.

    Every method may be called from any thread and from many coroutines at once: what is asked for at
    the same time runs in one batch, and each answer is the one that its request would get alone.

        with AutoGLMEngine("model.gguf") as engine:
            print(engine.chat([{"role": "user", "content": "Why is the sky blue?"}]))
    """

    def __init__(self, model_name: str | os.PathLike[str], *,
                 registry: str | os.PathLike[str] | None = None,
                 device_map: str | Mapping[str, str | int] = "auto",
                 max_context_length: int | None = None, torch_dtype: object = "auto",
                 quantize: str | None = None, memory_fraction: float = 0.7,
                 memory_bytes: int = 0, n_threads: int = 0,
                 numa: str | int = "auto", max_sequences: int = 0,
                 kv_tokens: int = 0, kv_type: object = "float16", batch_tokens: int = 0,
                 max_queued_requests: int = 0, max_queued_tokens: int = 0, itl_target_ms: int = 0, speculate: int = 0,
                 isa: str | None = None, chat_template: str | None = None, generation_config: str = "auto",
                 image_cache: str | os.PathLike[str] | None = None, image_cache_bytes: int = 0,
                 on_progress: Progress | None = None) -> None:
        """Load a model; blocks until it is ready. Ctrl-C stops loading.

        model_name: path of a GGUF file (of a split set, any part of it) or of a Hugging Face folder, or
            a name that `autoglm models` gave one; a path that exists goes before a name.
        registry: the file with the names; None: default_registry(), as of the command.
        device_map: "auto", "cpu", or a mapping of modules to devices, as of Hugging Face:
            {"model.layers.0-11": "cpu", "": "cpu"}; docs/devices.md. A device that is absent is an
            UnsupportedError.
        max_context_length: tokens of one sequence; None: the model's own, cut to what fits.
        torch_dtype: "auto" keeps the weights as in the file; "float32", "float16", "bfloat16" or the
            torch.dtype of that name re-encodes them.
        quantize: re-encodes them smaller while loading: "int8", "q4_k_m", ... (docs/quantize.md); then
            torch_dtype has no say.
        memory_fraction: share of the machine's (or container's) memory to stay within.
        memory_bytes: instead: at most so much for weights, KV and working memory; 0: as memory_fraction says.
        n_threads: 0: one for every physical core available.
        numa: on machines with several memory nodes: "auto", "off", "interleave" or a node's number.
        max_sequences: requests that run at once, others wait; 0: 16.
        kv_tokens: tokens of keys and values in all sequences; 0: as many as needed and fit.
        kv_type: their precision: "float16", "float32", "bfloat16" or "q8_0".
        batch_tokens: most tokens computed in a step; 0: 512.
        max_queued_requests, max_queued_tokens: what may wait before EngineBusyError; 0: 512 and 8
            times kv_tokens.
        itl_target_ms: between two tokens of an answer while other prompts are read; 0: 1.65 times
            what it is without, 1.75 where several are read.
        speculate: tokens guessed ahead at most (answers stay the same); 0: 8, fewer where it does not
            gain; -1: none.
        isa: use at most these instructions of the CPU, for example "avx2"; None: the best.
        chat_template: Jinja source that replaces the model's own.
        generation_config: "auto": options that a request leaves out are as the model's file advises, if
            it does; "none": they have the library's defaults.
        image_cache: folder where packed weights are kept, so that the next start maps them; None:
            nowhere (docs/models.md).
        image_cache_bytes: of all that is kept there; 0: 32 GiB.
        on_progress: called with bytes of weights ready and in all.

        Raises ModelNotFoundError, ModelFormatError, UnsupportedError, OutOfMemoryBudgetError,
        InvalidArgumentError; all are AutoGLMError.
        """
        self._handle: Handle | None = None
        lib = library.load()
        keep = Keep()
        opts = keep.add(ffi.new("ag_engine_opts *", lib.ag_engine_default()))
        texts = {"model": model_path(model_name),
                 "device_map": utf8(device_map_text(device_map), "device_map"),
                 "numa": utf8(str(numa), "numa"),
                 "generation_config": utf8(generation_config, "generation_config"),
                 "dtype": type_name(torch_dtype, "torch_dtype", ("auto", "f32", "f16", "bf16")).encode(),
                 "kv_type": type_name(kv_type, "kv_type", ("f32", "f16", "bf16", "q8_0")).encode()}
        names = default_registry() if registry is None else registry
        if names:
            texts["registry"] = model_path(names)
        if image_cache is not None:
            texts["image_cache"] = model_path(image_cache)
        for name, value in (("quantize", quantize), ("isa", isa), ("chat_template", chat_template)):
            if value is not None:
                texts[name] = utf8(value, name)
        for name, text in texts.items():
            setattr(opts, name, keep.text(text))
        numbers = {"max_context_length": max_context_length or 0, "memory_fraction": memory_fraction,
                   "memory_bytes": memory_bytes,
                   "n_threads": n_threads, "max_sequences": max_sequences, "kv_tokens": kv_tokens,
                   "batch_tokens": batch_tokens, "max_queued_requests": max_queued_requests,
                   "max_queued_tokens": max_queued_tokens, "itl_target_ms": itl_target_ms,
                   "speculate": speculate, "image_cache_bytes": image_cache_bytes}
        for name, number in numbers.items():
            write_field(opts, name, number)
        self._lib = lib
        self._handle = Handle(opts, keep, on_progress)
        self._sampling = ffi.new("ag_sampling *", lib.ag_sampling_default())
        with self._handle.use() as engine:
            lib.ag_engine_get_sampling(engine, self._sampling)

    # ---- answers

    @overload
    def generate(self, prompt: Prompt, *, stream: Literal[False] = False,
                 **options: Unpack[RequestOptions]) -> Answer: ...
    @overload
    def generate(self, prompt: Prompt, *, stream: Literal[True],
                 **options: Unpack[RequestOptions]) -> Stream: ...
    @overload
    def generate(self, prompt: Prompt, *, stream: bool,
                 **options: Unpack[RequestOptions]) -> Answer | Stream: ...

    def generate(self, prompt: Prompt, *, stream: bool = False, **options: Any) -> Answer | Stream:
        """Continue a prompt (text or token ids); options are those of RequestOptions.

        Gives the Answer, or with stream=True an iterator over its tokens. Ctrl-C cancels it.
        Raises ContextLengthError, InvalidArgumentError, EngineBusyError, EngineClosedError.
        """
        start = self._starter(prompt, stream, options)
        return Stream(start) if stream else streams.wait(start)

    @overload
    def chat(self, messages: Messages, *, stream: Literal[False] = False, tools: Tools = None,
             template_options: Mapping[str, Any] | None = None, **options: Unpack[RequestOptions]) -> Answer: ...
    @overload
    def chat(self, messages: Messages, *, stream: Literal[True], tools: Tools = None,
             template_options: Mapping[str, Any] | None = None, **options: Unpack[RequestOptions]) -> Stream: ...
    @overload
    def chat(self, messages: Messages, *, stream: bool, tools: Tools = None,
             template_options: Mapping[str, Any] | None = None, **options: Unpack[RequestOptions]) -> Answer | Stream: ...

    def chat(self, messages: Messages, *, stream: bool = False, tools: Tools = None,
             template_options: Mapping[str, Any] | None = None, **options: Any) -> Answer | Stream:
        """Answer a conversation, by the model's chat template. Control tokens written inside messages
        stay plain text. tools, and template_options (other variables of the template, such as
        {"enable_thinking": False}), reach the template. As generate() otherwise; raises
        ChatTemplateError too."""
        ids = self.chat_ids(messages, tools=tools, template_options=template_options)
        start = self._starter(ids, stream, options)
        return Stream(start) if stream else streams.wait(start)

    @overload
    def agenerate(self, prompt: Prompt, *, stream: Literal[False] = False,
                  **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Answer]: ...
    @overload
    def agenerate(self, prompt: Prompt, *, stream: Literal[True],
                  **options: Unpack[RequestOptions]) -> AsyncStream: ...

    def agenerate(self, prompt: Prompt, *, stream: bool = False,
                  **options: Any) -> Coroutine[Any, Any, Answer] | AsyncStream:
        """generate() for asyncio: await it, or with stream=True use `async for`. Many at once (with
        asyncio.gather) share the steps of one batch; cancelling a task cancels its request."""
        start = self._starter(prompt, stream, options)
        return AsyncStream(start) if stream else streams.wait_async(start)

    @overload
    def achat(self, messages: Messages, *, stream: Literal[False] = False, tools: Tools = None,
              template_options: Mapping[str, Any] | None = None, **options: Unpack[RequestOptions]) -> Coroutine[Any, Any, Answer]: ...
    @overload
    def achat(self, messages: Messages, *, stream: Literal[True], tools: Tools = None,
              template_options: Mapping[str, Any] | None = None, **options: Unpack[RequestOptions]) -> AsyncStream: ...

    def achat(self, messages: Messages, *, stream: bool = False, tools: Tools = None,
              template_options: Mapping[str, Any] | None = None, **options: Any) -> Coroutine[Any, Any, Answer] | AsyncStream:
        """chat() for asyncio; as agenerate()."""
        ids = self.chat_ids(messages, tools=tools, template_options=template_options)
        start = self._starter(ids, stream, options)
        return AsyncStream(start) if stream else streams.wait_async(start)

    def _starter(self, prompt: Prompt, stream: bool, options: Mapping[str, Any]) -> Start:
        """Check a request; calling the result submits it."""
        keep = Keep()
        opts = ffi.new("ag_request_opts *", self._lib.ag_request_default())
        opts.sampling = self._sampling[0]
        write_request(opts, options, keep)
        if isinstance(prompt, str):
            text = utf8(prompt, "prompt")
            opts.prompt, opts.prompt_len = keep.add(ffi.new("char[]", text)), len(text)
        else:
            opts.prompt_ids, opts.n_prompt_ids = keep.ids(prompt, "prompt")

        def start(notify: Callable[[Token | None], None]) -> Request:
            keep.items.append(opts)
            request = Request(self._lib, notify, stream)
            with self._opened().use() as engine:
                request.submit(engine, opts)
            return request
        return start

    # ---- text and tokens

    def tokenize(self, text: str, *, add_bos: bool = False, parse_special: bool = False) -> list[int]:
        """Text to token ids. parse_special recognises control tokens in it."""
        data = utf8(text, "text")
        ids, n, err = ffi.new("int32_t **"), ffi.new("size_t *"), ffi.new("ag_err *")
        with self._opened().use() as engine:
            raise_error(self._lib, self._lib.ag_engine_tokenize(
                engine, data, len(data), add_bos, parse_special, ids, n, err), err)
        return self._take_ids(ids[0], n[0])

    def detokenize(self, ids: Sequence[int], *, show_special: bool = False) -> str:
        """Token ids to text; ids outside the vocabulary give nothing."""
        keep = Keep()
        array, n = keep.ids(ids, "ids")
        text, length, err = ffi.new("char **"), ffi.new("size_t *"), ffi.new("ag_err *")
        with self._opened().use() as engine:
            raise_error(self._lib, self._lib.ag_engine_detokenize(
                engine, array, n, show_special, text, length, err), err)
        return self._take_text(text[0], length[0])

    def infill_ids(self, before: str, behind: str, *, add_bos: bool = True) -> list[int]:
        """The token ids to generate from, so that the answer goes between two texts. UnsupportedError:
        the model was not made for that."""
        first, last = utf8(before, "before"), utf8(behind, "behind")
        ids, n, err = ffi.new("int32_t **"), ffi.new("size_t *"), ffi.new("ag_err *")
        with self._opened().use() as engine:
            raise_error(self._lib, self._lib.ag_engine_infill_ids(
                engine, first, len(first), last, len(last), add_bos, ids, n, err), err)
        return self._take_ids(ids[0], n[0])

    def chat_ids(self, messages: Messages, *, tools: Tools = None,
                 template_options: Mapping[str, Any] | None = None) -> list[int]:
        """The token ids that chat() starts from."""
        data = _conversation(messages, tools, template_options)
        ids, n, err = ffi.new("int32_t **"), ffi.new("size_t *"), ffi.new("ag_err *")
        with self._opened().use() as engine:
            raise_error(self._lib, self._lib.ag_engine_render_ids(
                engine, data, len(data), ids, n, err), err)
        return self._take_ids(ids[0], n[0])

    def render(self, messages: Messages, *, tools: Tools = None,
               template_options: Mapping[str, Any] | None = None) -> str:
        """The text that the chat template makes of a conversation."""
        data = _conversation(messages, tools, template_options)
        text, err = ffi.new("char **"), ffi.new("ag_err *")
        with self._opened().use() as engine:
            raise_error(self._lib, self._lib.ag_engine_render(engine, data, len(data), text, err), err)
        return self._take_text(text[0], None)

    def logits(self, prompt: Prompt) -> memoryview[float]:
        """Logits of every position: a float32 memoryview of shape [tokens, n_vocab], which
        numpy.asarray() reads without copying. Text is tokenised with BOS."""
        ids = self.tokenize(prompt, add_bos=True) if isinstance(prompt, str) else prompt
        keep = Keep()
        array, n = keep.ids(ids, "prompt")
        if n == 0:
            raise InvalidArgumentError("the prompt is empty")
        shape = (n, self.info.n_vocab)
        out, err = ffi.new("float[]", n * shape[1]), ffi.new("ag_err *")

        def compute() -> None:
            with self._opened().use() as engine:
                raise_error(self._lib, self._lib.ag_engine_logits(engine, array, n, out, err), err)
        _interruptible(compute)
        return memoryview(ffi.buffer(out)).cast("B").cast("f", shape)

    # ---- embeddings

    @overload
    def embed(  # type: ignore[overload-overlap]  # a str is a sequence too; it is the first's
            self, texts: str, *, pooling: Pooling | None = None, normalize: bool = True,
            dimensions: int = 0, truncate: bool = False) -> list[float]: ...
    @overload
    def embed(self, texts: Sequence[Prompt], *, pooling: Pooling | None = None, normalize: bool = True,
              dimensions: int = 0, truncate: bool = False) -> list[list[float]]: ...

    def embed(self, texts: str | Sequence[Prompt], *, pooling: Pooling | None = None,
              normalize: bool = True, dimensions: int = 0,
              truncate: bool = False) -> list[float] | list[list[float]]:
        """Texts (or token ids) as vectors: a list of them, or one for a single str. They run in one
        batch, and a vector is the same whatever it is computed beside.

        pooling: "mean", "cls" or "last"; None: as the model says.
        normalize: to length 1, so that a scalar product is a cosine.
        dimensions: keep this many leading numbers; 0: all.
        truncate: cut texts beyond the context instead of refusing them.
        Raises UnsupportedError for a model not made for embeddings, unless pooling is given.
        """
        inputs = [texts] if isinstance(texts, str) else texts
        keep = Keep()
        array = keep.add(ffi.new("ag_embed_input[]", len(inputs)))
        for i, item in enumerate(inputs):
            if isinstance(item, str):
                text = utf8(item, f"texts[{i}]")
                array[i].text, array[i].text_len = keep.add(ffi.new("char[]", text)), len(text)
            else:
                array[i].ids, array[i].n_ids = keep.ids(item, f"texts[{i}]")
        opts = keep.add(ffi.new("ag_embed_opts *", self._lib.ag_embed_default()))
        opts.pooling = self._pooling_number(pooling)
        for name, value in (("normalize", normalize), ("dimensions", dimensions), ("truncate", truncate)):
            write_field(opts, name, value)
        n_embd = self.info.n_embd
        width = dimensions or n_embd
        out, err = ffi.new("float[]", len(inputs) * max(width, n_embd)), ffi.new("ag_err *")

        def compute() -> None:
            with self._opened().use() as engine:
                raise_error(self._lib, self._lib.ag_engine_embed(
                    engine, array, len(inputs), opts, out, ffi.NULL, err), err)
        _interruptible(compute)
        rows = [ffi.unpack(out + i * width, width) for i in range(len(inputs))]
        return rows[0] if isinstance(texts, str) else rows

    @overload
    async def aembed(  # type: ignore[overload-overlap]
            self, texts: str, *, pooling: Pooling | None = None, normalize: bool = True,
            dimensions: int = 0, truncate: bool = False) -> list[float]: ...
    @overload
    async def aembed(self, texts: Sequence[Prompt], *, pooling: Pooling | None = None,
                     normalize: bool = True, dimensions: int = 0,
                     truncate: bool = False) -> list[list[float]]: ...

    async def aembed(self, texts: Any, **options: Any) -> Any:
        """embed() for asyncio, on a thread of the loop's executor."""
        return await asyncio.to_thread(lambda: self.embed(texts, **options))

    def _pooling_name(self, number: int) -> str | None:
        name = self._lib.ag_pooling_name(number)
        return None if name == ffi.NULL else ffi.string(name).decode()

    def _pooling_number(self, name: str | None) -> int:
        numbers: dict[str | None, int] = {
            self._pooling_name(n): n for n in ffi.typeof("ag_pooling").elements}
        if name not in numbers:
            raise InvalidArgumentError(f"pooling is {name!r}; expected None or one of: "
                                       + ", ".join(filter(None, numbers)))
        return numbers[name]

    def _take_ids(self, pointer: Any, n: int) -> list[int]:
        ids: list[int] = ffi.unpack(pointer, n) if n else []
        self._lib.ag_ids_free(pointer)
        return ids

    def _take_text(self, pointer: Any, n: int | None) -> str:
        data: bytes = ffi.string(pointer) if n is None else bytes(ffi.buffer(pointer, n))
        self._lib.ag_string_free(pointer)
        return data.decode("utf-8", "replace")

    # ---- facts and the end

    @property
    def info(self) -> EngineInfo:
        """The model and how it runs here."""
        info = ffi.new("ag_engine_info *")
        with self._opened().use() as engine:
            self._lib.ag_engine_get_info(engine, info)
            facts = _fields(info)  # its strings live as long as the engine
        facts["pooling"] = self._pooling_name(facts["pooling"])
        return EngineInfo(**facts)

    @property
    def stats(self) -> EngineStats:
        """Counters of what was done."""
        stats = ffi.new("ag_engine_stats *")
        with self._opened().use() as engine:
            self._lib.ag_engine_get_stats(engine, stats)
        return EngineStats(**_fields(stats))

    @property
    def closed(self) -> bool:
        return self._handle is None or self._handle.closed

    def close(self) -> None:
        """Cancel what runs (whoever waits gets EngineClosedError), stop the threads and free the
        memory. Again: does nothing."""
        if self._handle is not None:
            self._handle.close()

    def _opened(self) -> Handle:
        assert self._handle is not None
        return self._handle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        if self.closed:
            return "<AutoGLMEngine, closed>"
        info = self.info
        return f"<AutoGLMEngine {info.name!r}, {info.architecture}, context {info.context_length}>"


def _conversation(messages: Messages, tools: Tools, template_options: Mapping[str, Any] | None) -> bytes:
    """What a chat template is given, as JSON."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    body = {**(template_options or {}), "messages": [dict(m) for m in messages]}
    if tools is not None:
        body["tools"] = list(tools)
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"messages, tools and template_options must be plain data: {error}") from None


def _fields(struct: Any) -> dict[str, Any]:
    """A C struct of numbers, arrays of them and strings as Python values."""
    values = {}
    for name, field in ffi.typeof(struct).item.fields:
        value = getattr(struct, name)
        if field.type.kind == "pointer":
            value = ffi.string(value).decode("utf-8", "replace")
        values[name] = tuple(value) if field.type.kind == "array" else value
    return values


def _interruptible(work: Callable[[], T]) -> T:
    """Run `work`, which blocks inside the library, on a thread of its own, so that Ctrl-C is not held
    up by it. Interrupted, it goes on to its end unheard."""
    done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, name="openautoglm-wait", daemon=True).start()
    result, error = done.get()
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
