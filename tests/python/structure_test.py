"""Answers held to a form: what a model that knows nothing writes at random is valid by the reference
validators, and what they accept can be written."""
from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from openautoglm import AutoGLMEngine, RequestOptions
from openautoglm.errors import GrammarError, InvalidArgumentError

SCHEMAS: dict[str, Any] = {
    "person": {
        "type": "object", "required": ["name", "age", "tags"], "additionalProperties": False,
        "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0,
                                                                           "maximum": 120},
                       "email": {"type": "string", "format": "email"},
                       "tags": {"type": "array", "items": {"enum": ["red", "green", 3, None]}, "maxItems": 4}}},
    "optional": {
        "type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1, "maxProperties": 3,
        "properties": {"a": {"type": "null"}, "b": {"type": "number", "exclusiveMinimum": -2.5, "maximum": 2.25},
                       "c": {"const": {"x": [1, "y"]}}}, "propertyNames": {"maxLength": 4}},
    "patterns": {
        "type": "object", "patternProperties": {"^n[0-9]$": {"type": "integer", "multipleOf": 3},
                                                "^s": {"type": "string", "pattern": "^(ab|c)+$", "maxLength": 6}},
        "additionalProperties": False, "maxProperties": 3},
    "tree": {
        "$defs": {"n": {"type": "object", "required": ["v", "c"], "additionalProperties": False,
                        "properties": {"v": {"type": "integer", "minimum": -9, "maximum": 9},
                                       "c": {"type": "array", "items": {"$ref": "#/$defs/n"}, "maxItems": 1}}}},
        "$ref": "#/$defs/n"},
    "choice": {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "ipv4"},
                         {"type": "string", "format": "ipv6"}, {"type": "string", "format": "uuid"},
                         {"type": "string", "format": "date-time"}, {"type": "boolean"}]},
    "merged": {
        "allOf": [{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}},
                  {"properties": {"a": {"minimum": 5, "maximum": 50}, "b": {"maxLength": 3}}, "required": ["b"]}],
        "anyOf": [{"required": ["a"]}, {"properties": {"b": {"minLength": 2}}}], "unevaluatedProperties": False},
    "tuple": {"type": "array", "prefixItems": [{"type": "integer", "exclusiveMaximum": -3, "minimum": -300},
                                               {"type": ["string", "null"], "maxLength": 3}],
              "items": {"type": "number", "minimum": 0.125, "maximum": 0.5}, "minItems": 2, "maxItems": 4},
}
CHECKER = jsonschema.FormatChecker()


@pytest.fixture(scope="module")
def wide(model: str) -> Iterator[AutoGLMEngine]:
    with AutoGLMEngine(model, n_threads=1, max_sequences=16, max_context_length=512) as opened:
        yield opened


def answers(engine: AutoGLMEngine, n: int, **options: Any) -> list[Any]:
    async def ask() -> list[Any]:
        return list(await asyncio.gather(*(
            engine.agenerate("x", temperature=1.5, seed=seed, max_tokens=400, **options) for seed in range(n))))

    return asyncio.run(ask())


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_whole_answer_is_valid(wide: AutoGLMEngine, name: str) -> None:
    whole = [a for a in answers(wide, 24, json_schema=SCHEMAS[name]) if a.finish_reason == "stop"]
    assert len(whole) >= 12
    for answer in whole:
        jsonschema.validate(json.loads(answer), SCHEMAS[name], format_checker=CHECKER)


def test_any_object(wide: AutoGLMEngine) -> None:
    for answer in answers(wide, 16, json_object=True):
        if answer.finish_reason == "stop":
            assert isinstance(json.loads(answer), dict)
        assert answer.startswith("{")


def test_regex_choice_and_grammar(wide: AutoGLMEngine) -> None:
    for answer in answers(wide, 8, regex=r"[a-f]{3,9}(-\d+){2}x"):
        assert answer.finish_reason == "length" or re.fullmatch(r"[a-f]{3,9}(-\d+){2}x", answer)
    texts = ["yes", "no", "maybe so", "是"]
    assert set(answers(wide, 24, choice=texts)) <= set(texts)
    for answer in answers(wide, 8, grammar='root ::= "<" [0-9]{1,4} ">" root?'):
        assert answer.finish_reason == "length" or re.fullmatch(r"(<[0-9]{1,4}>)+", answer)


def test_greedy_answers_do_not_depend_on_the_batch(wide: AutoGLMEngine) -> None:
    options = RequestOptions(temperature=0, max_tokens=60, json_schema=SCHEMAS["person"])
    alone = wide.generate("Hello", **options)

    async def ask() -> list[Any]:
        return list(await asyncio.gather(*(wide.agenerate("Hello", **options) for _ in range(12))))

    assert set(asyncio.run(ask())) == {alone}


def test_it_ends_by_itself_and_not_before(wide: AutoGLMEngine) -> None:
    assert wide.generate("x", regex="a{5}b", ignore_eos=True) == "aaaaab"
    answer = wide.generate("x", regex="[ab]{0,40}", min_tokens=10, temperature=1.5)
    assert len(answer.tokens) >= 10 or len(answer) == 40
    assert wide.generate("x", regex="", ignore_eos=True) == ""


def test_mistakes_are_told(wide: AutoGLMEngine) -> None:
    with pytest.raises(GrammarError, match="#/properties/a/pattern: position 1"):
        wide.generate("x", json_schema={"properties": {"a": {"pattern": "a("}}})
    with pytest.raises(GrammarError, match="line 1"):
        wide.generate("x", grammar="root = 1")
    with pytest.raises(InvalidArgumentError, match="only one of"):
        wide.generate("x", regex="a", choice=["b"])
    with pytest.raises(GrammarError, match="#: false allows no value"):
        wide.generate("x", json_schema=False)


def test_guesses_change_nothing(wide: AutoGLMEngine) -> None:
    prompt = json.dumps({"name": "abcabcabc", "age": 12, "tags": ["red", "green"]}) * 4
    guessing = RequestOptions(temperature=0, max_tokens=80, json_schema=SCHEMAS["person"], speculate=8)
    plain = RequestOptions(temperature=0, max_tokens=80, json_schema=SCHEMAS["person"], speculate=-1)
    assert wide.generate(prompt, **guessing) == wide.generate(prompt, **plain)
