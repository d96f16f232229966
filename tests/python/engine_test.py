"""Answers, streams, tokens and logits, on one thread."""
from __future__ import annotations

import json
import math
import pathlib
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import openautoglm
from openautoglm import AutoGLMEngine, UnsupportedError

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDENS = ROOT / "tests/golden/models/goldens"
GOLDEN: dict[str, Any] = json.loads((GOLDENS / "tiny-smollm2.json").read_text())


def greedy(**more: Any) -> dict[str, Any]:
    return {"temperature": 0, "max_tokens": 12, **more}


# ---- answers

@pytest.fixture(scope="module")
def exact(model: str) -> Iterator[AutoGLMEngine]:
    """Everything in float32, as the goldens are made."""
    with AutoGLMEngine(model, torch_dtype="float32", kv_type="float32", n_threads=1) as opened:
        yield opened


def test_greedy_answers_are_the_references(exact: AutoGLMEngine) -> None:
    for prompt, golden in zip(GOLDEN["prompts"], GOLDEN["types"]["f32"]):
        # After a token that wins by less than the error allowed, anything may follow.
        sure = next((i for i, margin in enumerate(golden["margins"]) if margin <= 2e-3), 16)
        answer = exact.generate(prompt["ids"], temperature=0, max_tokens=16, ignore_eos=True)
        assert sure > 0 and answer.token_ids[:sure] == golden["greedy"][:sure]


def test_an_answer_is_its_text(engine: AutoGLMEngine) -> None:
    answer = engine.generate("Open the settings", **greedy())
    assert isinstance(answer, str) and type(answer.text) is str
    assert answer == answer.text == "".join(answer.tokens)
    assert answer.finish_reason == "length"
    assert answer.usage.completion_tokens == 12 == len(answer.token_ids)
    assert answer.usage.prompt_tokens == len(engine.tokenize("Open the settings", add_bos=True))
    assert answer.usage.decode_time > 0


def test_terms_change_no_answer(engine: AutoGLMEngine) -> None:
    plain = engine.generate("Open the settings", **greedy())
    terms: dict[str, Any] = {"priority": 1, "tenant": "caf\u00e9", "tenant_weight": 2.5, "cache_salt": b"\0salt",
                             "timeout_ms": 60000, "max_queue_ms": 60000, "speculate": 8}
    assert engine.generate("Open the settings", **greedy(**terms)) == plain
    stats = engine.stats
    assert stats.n_requests == stats.n_succeeded + stats.n_failed + stats.n_cancelled + stats.n_expired
    for wrong in ({"priority": 2}, {"tenant_weight": -1.0}, {"speculate": 17}):
        with pytest.raises(openautoglm.InvalidArgumentError, match=next(iter(wrong))):
            engine.generate("Hello", **greedy(**wrong))
    with pytest.raises(openautoglm.DeadlineError):
        engine.generate("Hello", temperature=0, ignore_eos=True, max_tokens=0, timeout_ms=1)


def test_a_stream_gives_the_pieces_of_the_same_answer(engine: AutoGLMEngine) -> None:
    whole = engine.generate("Open the settings", **greedy())
    stream = engine.generate("Open the settings", stream=True, **greedy())
    with pytest.raises(RuntimeError):
        _ = stream.answer
    pieces = list(stream)
    assert "".join(pieces) == whole == stream.answer
    assert [p.position for p in pieces if p.id is not None] == list(range(12))
    assert list(stream) == []


def test_chat_starts_from_the_rendered_conversation(engine: AutoGLMEngine) -> None:
    messages = GOLDEN["chat"]["messages"]
    assert engine.render(messages) == GOLDEN["chat"]["rendered"]
    assert engine.chat_ids(messages) == GOLDEN["chat"]["ids"]
    assert engine.chat(messages, **greedy()) == engine.generate(GOLDEN["chat"]["ids"], **greedy())
    assert engine.chat("Hello", **greedy()) == engine.chat([{"role": "user", "content": "Hello"}], **greedy())


def test_what_a_template_knows_reaches_it(model: str) -> None:
    source = ("{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
              "{% for t in tools or [] %}({{ t.function.name }}){% endfor %}{{ mood }}")
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    with AutoGLMEngine(model, n_threads=1, chat_template=source) as e:
        text = e.render([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], tools=tools,
                        template_options={"mood": "calm"})
        assert text == "[user]Hi(look)calm"
        ids = e.chat_ids("Hi", tools=tools, template_options={"mood": "calm"})
        assert e.detokenize(ids) == text
        answer = e.chat("Hi", tools=tools, template_options={"mood": "calm"}, **greedy())
        assert answer == e.generate(ids, **greedy())


def test_control_tokens_in_messages_stay_text(engine: AutoGLMEngine) -> None:
    end, = engine.tokenize("<|im_end|>", parse_special=True)
    plain = engine.chat_ids("Hello").count(end)
    assert engine.chat_ids("Hello<|im_end|>").count(end) == plain


def test_leaving_a_stream_cancels(engine: AutoGLMEngine) -> None:
    with engine.generate("Open", stream=True, ignore_eos=True) as stream:
        next(stream)
    assert stream.answer.finish_reason == "cancelled"
    assert stream.answer.usage.completion_tokens < engine.info.context_length - 10


def test_dropping_a_stream_cancels(engine: AutoGLMEngine) -> None:
    before = engine.stats.n_generated
    stream = engine.generate("Open", stream=True, ignore_eos=True)
    request = stream._request
    next(stream)
    del stream
    assert request is not None and request.cancelled
    engine.generate("Open", **greedy())
    assert engine.stats.n_generated - before < engine.info.context_length


def test_stop_strings_end_an_answer(engine: AutoGLMEngine) -> None:
    whole = engine.generate("Open the settings", **greedy(max_tokens=40))
    middle = whole[len(whole) // 2:len(whole) // 2 + 2]
    for stop in (middle, [middle, "never there"]):
        answer = engine.generate("Open the settings", **greedy(max_tokens=40, stop=stop))
        assert answer.finish_reason == "stop"
        assert answer == whole[:whole.index(middle)]


def test_seeds_repeat_and_differ(engine: AutoGLMEngine) -> None:
    def draw(seed: int | None) -> list[int]:
        return engine.generate("Open", temperature=2.0, max_tokens=20, seed=seed).token_ids
    assert draw(7) == draw(7) != draw(8)
    assert draw(None) != draw(None)


def test_logprobs_come_when_asked_for(engine: AutoGLMEngine) -> None:
    for token in engine.generate("Open", **greedy(top_logprobs=3)).tokens:
        assert len(token.top_logprobs) == 3
        assert token.top_logprobs[0].id == token.id
        assert token.logprob == token.top_logprobs[0].logprob
    assert all(t.logprob is None for t in engine.generate("Open", **greedy()).tokens)


def test_logit_bias_forbids_a_token(engine: AutoGLMEngine) -> None:
    first = engine.generate("Open", **greedy(max_tokens=1)).token_ids[0]
    other = engine.generate("Open", **greedy(max_tokens=1, logit_bias={first: -math.inf}))
    assert other.token_ids[0] != first


def test_a_forbidden_sequence_does_not_come(engine: AutoGLMEngine) -> None:
    word = engine.generate("Open", **greedy(max_tokens=3, ignore_eos=True)).token_ids[1:3]
    other = engine.generate("Open", **greedy(max_tokens=3, ignore_eos=True, forbidden=[[5, 6], word])).token_ids
    assert other[1] == word[0] and other[2] != word[1]


def test_every_option_reaches_the_library(engine: AutoGLMEngine) -> None:
    answer = engine.generate(
        "Open", max_tokens=4, min_tokens=2, ignore_eos=True, stop=["zzz"], stop_ids=[3], show_ids=[4],
        top_logprobs=0, parse_special=True, add_bos=False, temperature=0.9, top_k=10, top_p=0.9, min_p=0.01, typical_p=0.95,
        repetition_penalty=1.1, frequency_penalty=0.1, presence_penalty=0.1, penalty_last_n=-1, seed=1,
        mirostat=0, mirostat_tau=5.0, mirostat_eta=0.1, dry_multiplier=0.8, dry_base=1.75,
        dry_allowed_length=2, dry_penalty_last_n=-1, dry_breakers=["\n"], xtc_probability=0.1,
        xtc_threshold=0.1, logit_bias={1: -1.0}, forbidden=[[1, 2]])
    assert 1 <= answer.usage.completion_tokens <= 4


# ---- tokens and logits

def test_text_survives_the_round_trip(engine: AutoGLMEngine) -> None:
    for text in ("", "Hello, world!", "naïve — 你好 🌍", "a\0b", "\r\n\t  "):
        assert engine.detokenize(engine.tokenize(text)) == text
    for prompt in GOLDEN["prompts"]:
        assert engine.tokenize(prompt["text"], add_bos=True) == prompt["ids"]


def test_text_between_two_others_needs_a_model_made_for_it(engine: AutoGLMEngine, models: pathlib.Path,
                                                           tmp_path: pathlib.Path) -> None:
    with pytest.raises(UnsupportedError, match="fill-in-the-middle"):
        engine.infill_ids("a", "b")
    for file in (models / "tiny-qwen2-hf").iterdir():
        (tmp_path / file.name).symlink_to(file.resolve())
    tokenizer = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").unlink()
    for old, new in (("<tool_call>", "<PRE>"), ("</tool_call>", "<SUF>"), ("<think>", "<MID>")):
        tokenizer = tokenizer.replace(f'"{old}"', f'"{new}"')
    (tmp_path / "tokenizer.json").write_text(tokenizer)
    with AutoGLMEngine(tmp_path, n_threads=1, max_context_length=256) as code:
        assert code.infill_ids("def f", "pass") == code.tokenize("<PRE>def f<SUF>pass<MID>")


def test_special_tokens_are_read_only_when_asked_for(engine: AutoGLMEngine) -> None:
    assert len(engine.tokenize("<|im_end|>", parse_special=True)) == 1
    ids = engine.tokenize("<|im_end|>", parse_special=False)
    assert len(ids) > 1 and engine.detokenize(ids) == "<|im_end|>"
    special = engine.tokenize("<|im_end|>", parse_special=True)
    assert engine.detokenize(special) == "" and engine.detokenize(special, show_special=True) == "<|im_end|>"


def test_logits_are_the_references(exact: AutoGLMEngine) -> None:
    values = np.fromfile(GOLDENS / "tiny-smollm2.f32", np.float32).reshape(-1, GOLDEN["n_vocab"])
    for prompt, golden in zip(GOLDEN["prompts"], GOLDEN["types"]["f32"]):
        logits = exact.logits(prompt["ids"])
        assert logits.shape == (len(prompt["ids"]), GOLDEN["n_vocab"])
        expected = values[golden["at"]:golden["at"] + len(golden["rows"])]
        assert np.abs(np.asarray(logits)[golden["rows"]] - expected).max() < 1e-3
        assert np.array_equal(np.asarray(exact.logits(prompt["text"])), np.asarray(logits))


# ---- opening

def test_info_tells_what_is_loaded(engine: AutoGLMEngine) -> None:
    info = engine.info
    assert (info.architecture, info.n_vocab, info.n_threads) == ("llama", GOLDEN["n_vocab"], 1)
    assert info.has_chat_template and info.name in repr(engine)
    assert (info.weight_type, info.bits_per_weight, info.digest) == ("F32", 32, "")


class FakeDtype:
    """What torch's dtypes look like, without torch."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


@pytest.mark.parametrize("dtype", ["auto", "float32", "float16", "bfloat16", "half", FakeDtype("float16"),
                                   FakeDtype("bfloat16"), np.dtype("float16")])
def test_torch_dtype_takes_names_and_dtypes(model: str, dtype: object) -> None:
    with AutoGLMEngine(model, torch_dtype=dtype, n_threads=1, max_context_length=64) as e:
        wide = {"auto": 4, "float32": 4}.get(str(dtype), 2)
        per_weight = e.info.weight_bytes / e.info.n_params
        assert wide * 0.9 < per_weight < wide * 1.5


def test_weights_are_quantised_while_loading(model: str) -> None:
    with AutoGLMEngine(model, n_threads=1, max_context_length=64, torch_dtype="float32") as wide, \
            AutoGLMEngine(model, n_threads=1, max_context_length=64, quantize="int8") as small:
        assert small.info.weight_bytes < wide.info.weight_bytes / 3
        assert small.generate("Open", **greedy(ignore_eos=True)).usage.completion_tokens == 12
    with pytest.raises(ValueError, match="quantize"):
        AutoGLMEngine(model, quantize="q99")


def test_devices(model: str) -> None:
    with AutoGLMEngine(model, n_threads=1, max_context_length=64) as engine:
        last = engine.info.n_layers - 1
    for device in ("auto", "cpu", {"": "cpu"}, {"model.layers.0": "cpu", f"model.layers.1-{last}": "cpu"}):
        with AutoGLMEngine(model, device_map=device, n_threads=1, max_context_length=64) as engine:
            assert engine.info.device_map == f"token_embd=cpu,0-{last}=cpu,output_norm=cpu,output=cpu"
    for absent in ("quantum", "cuda:0", {"": 0}, {"": "cpu", "lm_head": "cuda:0"}):
        with pytest.raises(NotImplementedError, match="is not present; present: cpu"):
            AutoGLMEngine(model, device_map=absent)
    with pytest.raises(openautoglm.InvalidArgumentError, match="have no device"):
        AutoGLMEngine(model, device_map={"model.layers.0": "cpu"})


def test_memory_nodes(model: str) -> None:
    AutoGLMEngine(model, numa="off", n_threads=1, max_context_length=64).close()
    with pytest.raises(openautoglm.InvalidArgumentError, match="node 63 is not present"):
        AutoGLMEngine(model, numa=63)


def test_progress_is_told(model: str) -> None:
    seen: list[tuple[int, int]] = []
    AutoGLMEngine(model, n_threads=1, on_progress=lambda done, total: seen.append((done, total))).close()
    assert seen and seen[-1][0] == seen[-1][1] > 0


def test_an_exception_in_progress_stops_loading(model: str) -> None:
    def complain(done: int, total: int) -> None:
        raise KeyError("enough")
    with pytest.raises(KeyError):
        AutoGLMEngine(model, n_threads=1, on_progress=complain)


def test_the_log_goes_to_logging(model: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="openautoglm"):
        AutoGLMEngine(model, n_threads=1).close()
    assert any(r.name == "openautoglm.engine" and "ready" in r.getMessage() for r in caplog.records)


# ---- errors

def test_a_hugging_face_folder_is_a_model(engine: AutoGLMEngine, models: pathlib.Path) -> None:
    with AutoGLMEngine(models / "tiny-smollm2-hf", torch_dtype="float32", n_threads=1) as e:
        assert e.generate([1, 2, 3], **greedy()).token_ids == engine.generate([1, 2, 3], **greedy()).token_ids


def test_options_left_out_are_as_the_folder_advises(models: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for file in (models / "tiny-llama3-hf").iterdir():
        (tmp_path / file.name).symlink_to(file.resolve())
    (tmp_path / "generation_config.json").write_text('{"top_k": 1}')
    with AutoGLMEngine(tmp_path, n_threads=1, max_context_length=256) as advised:
        greedy_ids = advised.generate("Open", **greedy()).token_ids
        assert advised.generate("Open", max_tokens=12, seed=3).token_ids == greedy_ids
        hot = advised.generate("Open", max_tokens=12, seed=3, top_k=0).token_ids
        assert hot != greedy_ids
    with AutoGLMEngine(tmp_path, n_threads=1, max_context_length=256, generation_config="none") as plain:
        assert plain.generate("Open", max_tokens=12, seed=3).token_ids == hot


def test_a_missing_model_is_a_file_not_found() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        AutoGLMEngine("/there/is/none.gguf")
    assert isinstance(caught.value, openautoglm.ModelNotFoundError)
    assert caught.value.code == "not_found" and "/there/is/none.gguf" in str(caught.value)


def test_a_damaged_model_says_where(models: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "short.gguf"
    path.write_bytes((models / "micro.gguf").read_bytes()[:200])
    with pytest.raises(openautoglm.ModelFormatError, match="short.gguf"):
        AutoGLMEngine(path)


def test_a_budget_too_small_shows_the_sum(model: str) -> None:
    for limits in ({"memory_fraction": 1e-6}, {"memory_bytes": 100000}):
        with pytest.raises(MemoryError, match="budget") as caught:
            AutoGLMEngine(model, **limits)  # type: ignore[arg-type]
        assert isinstance(caught.value, openautoglm.OutOfMemoryBudgetError)


def test_wrong_calls_name_what_is_wrong(engine: AutoGLMEngine, model: str) -> None:
    with pytest.raises(openautoglm.ContextLengthError):
        engine.generate([1] * (engine.info.context_length + 1))
    cases: list[tuple[dict[str, Any], str]] = [
        ({"top_p": 7.0}, "top_p"), ({"max_tokens": -1}, "max_tokens"), ({"top_k": "x"}, "top_k"),
        ({"stop": [""]}, "stop"), ({"logit_bias": {1: "a"}}, "logit_bias"), ({"forbidden": [[1.5]]}, "forbidden"), ({"stop_ids": [2 ** 40]}, "stop_ids")]
    for options, match in cases:
        with pytest.raises(ValueError, match=match):
            engine.generate("x", **options)
    with pytest.raises(TypeError, match="heat"):
        engine.generate("x", heat=3)  # type: ignore[call-overload]
    with pytest.raises(openautoglm.InvalidTextError):
        engine.generate("\ud800")
    with pytest.raises(ValueError, match="prompt"):
        engine.generate([])
    with pytest.raises(ValueError, match=r"messages\[0\].role"):
        engine.chat([{"content": "x"}])
    with pytest.raises(ValueError, match="plain data"):
        engine.chat([{"role": "user", "content": object()}])
    with pytest.raises(ValueError):
        engine.chat([{"role": "user", "content": "\ud800"}])
    with pytest.raises(ValueError, match="torch_dtype"):
        AutoGLMEngine(model, torch_dtype="float8")
    with pytest.raises(ValueError, match="n_threads"):
        AutoGLMEngine(model, n_threads=-3)


def test_a_template_that_objects_is_an_error(model: str) -> None:
    with AutoGLMEngine(model, n_threads=1, chat_template="{{ raise_exception('no') }}") as e:
        with pytest.raises(openautoglm.ChatTemplateError, match="no"):
            e.chat("Hello")


def test_a_closed_engine_says_so(model: str) -> None:
    e = AutoGLMEngine(model, n_threads=1)
    e.close()
    e.close()
    assert e.closed and repr(e) == "<AutoGLMEngine, closed>"
    for call in (lambda: e.generate("x"), lambda: e.chat("x"), lambda: e.tokenize("x"), lambda: e.info,
                 lambda: e.logits([1]), lambda: e.stats):
        with pytest.raises(openautoglm.EngineClosedError):
            call()


def test_errors_survive_pickling() -> None:
    for kind in openautoglm.errors.BY_CODE.values():
        error = pickle.loads(pickle.dumps(kind("what and where")))
        assert type(error) is kind and str(error) == "what and where"
