"""What a caller may ask for, and how it is written into the structs of the C library.

The names are those of the C headers (autoglm/request.h); a test holds the two equal. A field that is
not given keeps the library's own default.
"""
from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, Union

from ._native import ffi
from .errors import InvalidArgumentError


class SamplingOptions(TypedDict, total=False):
    """How the next token is chosen; without any, every filter is off and temperature is 1."""

    temperature: float
    """0 always takes the most likely token; up to 100."""
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    repetition_penalty: float
    frequency_penalty: float
    presence_penalty: float
    penalty_last_n: int
    """How far repetition_penalty looks back; -1: everything."""
    seed: Union[int, None]
    """The same seed gives the same answer; without one each request draws its own."""
    mirostat: int
    """0 or 2."""
    mirostat_tau: float
    mirostat_eta: float
    dry_multiplier: float
    dry_base: float
    dry_allowed_length: int
    dry_penalty_last_n: int
    dry_breakers: Sequence[str]
    xtc_probability: float
    xtc_threshold: float
    logit_bias: Mapping[int, float]
    """Added to the logit of a token; -inf forbids it."""
    forbidden: Sequence[Sequence[int]]
    """Sequences of token ids that the answer must not hold."""


class RequestOptions(SamplingOptions, total=False):
    """What one generation is asked to do."""

    max_tokens: int
    """0: until the model stops or the context ends."""
    min_tokens: int
    ignore_eos: bool
    stop: Union[str, Sequence[str]]
    """Text that ends the answer and is not part of it."""
    stop_ids: Sequence[int]
    show_ids: Sequence[int]
    """Control tokens whose text is part of the answer; others are hidden."""
    top_logprobs: int
    """-1: none; 0: of the chosen token; 1 to 20: of that many candidates."""
    parse_special: bool
    """Recognise control tokens in a prompt given as text."""
    add_bos: bool
    """Put the beginning-of-sequence token in front where the model wants it (default)."""
    json_object: bool
    """The answer is a JSON object. Of this and the next four only one may be given."""
    json_schema: Union[str, bool, Mapping[str, Any]]
    """The answer is JSON that this JSON Schema allows."""
    regex: str
    """The whole answer matches this regular expression."""
    choice: Sequence[str]
    """The answer is one of these texts."""
    grammar: str
    """The answer is a text of this grammar, written in GBNF."""
    speculate: int
    """Tokens guessed ahead; the answer is the same. 0: as the engine; -1: none."""
    priority: int
    """-1: can wait; 0; 1: before others."""
    tenant: str
    """Who asks: those who share an engine take turns by what they have used."""
    tenant_weight: float
    """The share of this tenant beside others (default 1)."""
    timeout_ms: int
    """DeadlineError when the answer is not complete by then; 0: no limit."""
    max_queue_ms: int
    """The same for the time until it begins to be computed."""
    cache_salt: bytes
    """Computed beginnings are shared only among requests of equal salt."""


STRUCTURES = {"json_object": "AG_STRUCTURE_JSON_OBJECT", "json_schema": "AG_STRUCTURE_JSON_SCHEMA",
              "regex": "AG_STRUCTURE_REGEX", "choice": "AG_STRUCTURE_CHOICE",
              "grammar": "AG_STRUCTURE_GRAMMAR"}
KINDS = ffi.typeof("ag_structure_kind").relements
REQUEST_FIELDS = frozenset(RequestOptions.__annotations__)
SAMPLING_FIELDS = frozenset(SamplingOptions.__annotations__)
TYPES = {
    "auto": "auto", "float32": "f32", "float": "f32", "fp32": "f32", "f32": "f32",
    "float16": "f16", "half": "f16", "fp16": "f16", "f16": "f16",
    "bfloat16": "bf16", "bf16": "bf16", "q8_0": "q8_0", "int8": "q8_0",
}


def utf8(text: str, what: str) -> bytes:
    """The bytes that the library wants; lone surrogates are refused there, by position."""
    if not isinstance(text, str):
        raise TypeError(f"{what} must be str, not {type(text).__name__}")
    return text.encode("utf-8", "surrogatepass")


def type_name(value: object, what: str, allowed: Sequence[str]) -> str:
    """The library's name of a type given as a string or as a torch.dtype, without importing torch."""
    name = str(value).removeprefix("torch.").lower()
    known = TYPES.get(name)
    if known is None or known not in allowed:
        raise InvalidArgumentError(f"{what} is {value!r}; expected one of: "
                                   + ", ".join(n for n in TYPES if TYPES[n] in allowed))
    return known


def model_path(name: str | os.PathLike[str]) -> bytes:
    return os.path.expanduser(os.fsencode(name))


class Keep:
    """Memory that must outlive a call into the library, made while its arguments are."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def add(self, item: Any) -> Any:
        self.items.append(item)
        return item

    def text(self, text: bytes) -> Any:
        if b"\0" in text:
            raise InvalidArgumentError("a text holds a NUL character where none is possible")
        return self.add(ffi.new("char[]", text))

    def texts(self, texts: Iterable[str], what: str) -> tuple[Any, int]:
        """const char *const * and their number."""
        pointers = [self.text(utf8(t, what)) for t in texts]
        return self.add(ffi.new("const char *[]", pointers)), len(pointers)

    def ids(self, ids: Iterable[int], what: str) -> tuple[Any, int]:
        """const int32_t * and their number."""
        try:
            array = ffi.new("int32_t[]", list(ids))
        except (TypeError, OverflowError) as error:
            raise InvalidArgumentError(f"{what} must be token ids: {error}") from None
        return self.add(array), len(array)


def write_field(struct: Any, name: str, value: object) -> None:
    try:
        setattr(struct, name, value)
    except (TypeError, OverflowError) as error:
        raise InvalidArgumentError(f"{name} is {value!r}: {error}") from None


def write_sampling(sampling: Any, options: Mapping[str, Any], keep: Keep) -> None:
    for name in SAMPLING_FIELDS & options.keys():
        value = options[name]
        if name == "seed":
            if value is not None:
                write_field(sampling, "seed", value)
                sampling.has_seed = True
        elif name == "dry_breakers":
            sampling.dry_breakers, sampling.n_dry_breakers = keep.texts(value, name)
        elif name == "logit_bias":
            try:
                rows = ffi.new("ag_logit_bias[]", [{"id": i, "bias": b} for i, b in value.items()])
            except (AttributeError, TypeError, OverflowError) as error:
                raise InvalidArgumentError(f"logit_bias must map token ids to numbers: {error}") from None
            sampling.logit_bias, sampling.n_logit_bias = keep.add(rows), len(rows)
        elif name == "forbidden":
            sequences = [dict(zip(("ids", "n"), keep.ids(ids, name))) for ids in value]
            sampling.forbidden = keep.add(ffi.new("ag_token_sequence[]", sequences))
            sampling.n_forbidden = len(sequences)
        else:
            write_field(sampling, name, value)


def write_structure(structure: Any, options: Mapping[str, Any], keep: Keep) -> None:
    """The form of the answer, from those options that ask for one."""
    given = {name: options[name] for name in STRUCTURES if options.get(name) not in (None, False)}
    if options.get("json_schema") is False:  # a schema that nothing fulfils: the library says so
        given["json_schema"] = False
    if len(given) > 1:
        raise InvalidArgumentError(f"only one of {', '.join(given)} can be given")
    for name, value in given.items():
        structure.kind = KINDS[STRUCTURES[name]]
        if name == "json_object":
            continue
        if name == "choice" or (name == "json_schema" and not isinstance(value, str)):
            try:
                value = json.dumps([value] if isinstance(value, str) else
                                   list(value) if name == "choice" else value, ensure_ascii=False)
            except TypeError as error:
                raise InvalidArgumentError(f"{name} cannot be written as JSON: {error}") from None
        text = utf8(value, name)
        structure.text, structure.len = keep.add(ffi.new("char[]", text)), len(text)


def write_request(request: Any, options: Mapping[str, Any], keep: Keep) -> None:
    """Fill an ag_request_opts from keyword arguments."""
    unknown = options.keys() - REQUEST_FIELDS
    if unknown:
        raise TypeError(f"unknown option {', '.join(sorted(unknown))}; there are: "
                        + ", ".join(sorted(REQUEST_FIELDS)))
    write_sampling(request.sampling, options, keep)
    write_structure(request.structure, options, keep)
    for name in options.keys() - SAMPLING_FIELDS - STRUCTURES.keys():
        value = options[name]
        if name == "stop":
            texts = [value] if isinstance(value, str) else value
            request.stop, request.n_stop = keep.texts(texts, name)
        elif name == "stop_ids":
            request.stop_ids, request.n_stop_ids = keep.ids(value, name)
        elif name == "show_ids":
            request.show_ids, request.n_show_ids = keep.ids(value, name)
        elif name == "tenant":
            request.tenant = keep.text(utf8(value, name))
        elif name == "cache_salt":
            request.cache_salt = keep.add(ffi.from_buffer(value))
            request.cache_salt_len = len(value)
        else:
            write_field(request, name, value)


def device_map_text(device_map: str | Mapping[str, str | int]) -> str:
    """A device_map as the library takes it: a mapping becomes JSON."""
    if isinstance(device_map, str):
        return device_map
    return json.dumps({str(name): device if isinstance(device, int) else str(device)
                       for name, device in device_map.items()})
