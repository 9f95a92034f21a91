"""What a checkpoint is asked: its chat template where it follows instructions, and what is kept."""

from __future__ import annotations

import pytest
from tiny_vlm import VOCABULARY, noise_images, tiny_smol, tiny_smol_processor, tiny_tokenizer

from vizer_core.decoding import Greedy
from vizer_core.files import read_json, write_json
from vizer_core.models import load_vlm
from vizer_core.runtime import seeded
from vizer_core.vizer import add_lora, load_adapter, save_adapter
from vizer_core.vlm.prompts import INSTRUCTION, start_of
from vizer_core.vlm.smolvlm import IMAGE_ALONE

TEMPLATE = (
    "{% for message in messages %}{{ 'a' if message['role'] == 'user' else 'the' }}"
    "{% for part in message['content'] %}"
    "{{ ' <image>' if part['type'] == 'image' else ' ' + part['text'] }}{% endfor %}"
    " <end_of_utterance> {% endfor %}{% if add_generation_prompt %}the{% endif %}"
)
ASKED = f"a <image> {INSTRUCTION} <end_of_utterance> the"
END = VOCABULARY.index("<end_of_utterance>")


def saved(folder, *, template: str | None = TEMPLATE, ends: int = END):
    """Write a checkpoint whose texts end with the token `ends`."""
    vlm, processor = tiny_smol(), tiny_smol_processor()
    processor.chat_template = template
    vlm.base.generation_config.eos_token_id = ends
    vlm.base.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_an_instruct_checkpoint_is_asked_in_its_chat_template(tmp_path):
    vlm = load_vlm(str(saved(tmp_path / "tiny-instruct")), device="cpu")
    assert vlm.is_instruct and vlm.default_prompt == ASKED
    images, rule = noise_images(2), Greedy(5)
    assert vlm.caption(images, decoding=rule) == vlm.caption(images, decoding=rule, prompt=ASKED)


@pytest.mark.parametrize(
    ("name", "template", "ends"),
    [
        ("tiny-base", TEMPLATE, END),
        ("tiny", TEMPLATE, VOCABULARY.index("</s>")),
        ("tiny", None, END),
    ],
    ids=["named so", "ends as a text", "no template"],
)
def test_a_base_checkpoint_is_shown_the_image_alone(name, template, ends, tmp_path):
    vlm = load_vlm(str(saved(tmp_path / name, template=template, ends=ends)), device="cpu")
    assert not vlm.is_instruct and vlm.default_prompt == IMAGE_ALONE
    assert vlm.prompt_of("a photo of") == "a photo of"


def test_words_go_into_the_template_and_a_whole_prompt_stays(tmp_path):
    folder = str(saved(tmp_path / "tiny"))
    asked = load_vlm(folder, device="cpu", prompt="what is this")
    assert asked.default_prompt == "a <image> what is this <end_of_utterance> the"
    assert load_vlm(folder, device="cpu", prompt="a <image> of").default_prompt == "a <image> of"


def test_an_adapter_brings_the_prompt_that_it_was_trained_with(tmp_path):
    folder, adapter = str(saved(tmp_path / "tiny")), tmp_path / "adapter"
    vlm = load_vlm(folder, device="cpu", prompt="what is this")
    add_lora(vlm, generator=seeded(0))
    save_adapter(vlm, adapter)
    assert load_vlm(folder, adapter=adapter, device="cpu").default_prompt == vlm.default_prompt
    given = load_vlm(folder, adapter=adapter, device="cpu", prompt="a <image>")
    assert given.default_prompt == "a <image>"


def test_an_adapter_of_earlier_versions_changes_no_prompt(tmp_path):
    vlm = tiny_smol()
    add_lora(vlm, generator=seeded(0))
    save_adapter(vlm, tmp_path)
    record = read_json(tmp_path / "vizer.json")
    assert record.pop("prompt") == IMAGE_ALONE
    write_json(tmp_path / "vizer.json", record)
    other = tiny_smol(default_prompt="a photo of")
    load_adapter(other, tmp_path)
    assert other.default_prompt == "a photo of"


@pytest.mark.parametrize(
    ("bos", "pad", "words", "wanted"),
    [
        ("<s>", "<pad>", ["<|endoftext|>"], "<s>"),
        ("<|im_start|>", "<pad>", ["<|endoftext|>", "<|im_start|>"], "<|endoftext|>"),
        ("<|im_start|>", "<pad>", ["<|im_start|>"], "<|im_start|>"),
        (None, "<pad>", ["<|endoftext|>"], "<|endoftext|>"),
        (None, "<pad>", [], "<pad>"),
    ],
)
def test_a_text_begins_as_those_of_pretraining_did(bos, pad, words, wanted):
    """SmolVLM's BOS begins a turn of a chat; Qwen has none."""
    tokenizer = tiny_tokenizer([*VOCABULARY, *words])
    tokenizer.bos_token, tokenizer.pad_token = bos, pad
    assert start_of(tokenizer) == tokenizer.convert_tokens_to_ids(wanted)
