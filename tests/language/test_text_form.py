"""How texts begin and end: the start mark, the full stop, and what keeps to them."""

from __future__ import annotations

import pytest

from tests.language.conftest import FAMILIES, llama_parts, make_lm
from vizer_core.captioners.zerocap import open_search, stop_ids
from vizer_core.language import CausalLM, TextForm, no_prefix

SENTENCES = TextForm(sentences=True)


def with_form(form: TextForm, family: str = "llama") -> CausalLM:
    plain = make_lm(family)
    return CausalLM.from_model(plain.model, plain.tokenizer, plain.name, form=form)


def test_a_start_mark_takes_the_place_of_bos_wherever_a_text_begins():
    lm = with_form(TextForm("<end>"))
    assert lm.bos_id == 1 and make_lm("llama").bos_id == 0
    assert lm.tokenize(["a cat"]).ids[0, 0] == 1
    assert lm.model.generation_config.bos_token_id == 1
    assert lm.opening(no_prefix(lm, 1)).embeddings.equal(lm.embed(lm.tokenize(["a"]).ids[:, :1]))


def test_an_unknown_start_mark_is_refused():
    model, tokenizer = llama_parts()
    with pytest.raises(ValueError, match=r"odd has no token '<s>' to start a text with.*'<begin>'"):
        CausalLM.from_model(model, tokenizer, "odd", form=TextForm("<s>"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sentence_is_read_with_its_full_stop_and_written_without(family):
    lm, plain = with_form(SENTENCES, family), make_lm(family)
    found, wanted = lm.tokenize(["a cat", "a dog."]), plain.tokenize(["a cat.", "a dog."])
    assert found.ids.equal(wanted.ids) and found.mask.equal(wanted.mask)
    assert lm.decode(found.ids) == ("a cat", "a dog")
    assert plain.decode(found.ids) == ("a cat.", "a dog.")


def test_a_sentence_that_is_cut_keeps_its_full_stop():
    lm, text = with_form(SENTENCES), "a small dog on a lawn near the old red house"
    whole, cut = lm.tokenize([text]).ids[0].tolist(), lm.tokenize([text], max_tokens=9).ids[0]
    assert cut.tolist() == [*whole[:7], *whole[-2:]] and len(whole) > 9


def test_prompts_get_no_full_stop():
    lm, plain = with_form(SENTENCES), make_lm("llama")
    opened = lm.opening(no_prefix(lm, 1), ["a photo of"])
    assert opened.embeddings.equal(plain.opening(no_prefix(plain, 1), ["a photo of"]).embeddings)
    search = open_search(lm, "a photo of", 1)
    assert search.last.equal(open_search(plain, "a photo of", 1).last)
    assert stop_ids(lm) == stop_ids(plain)


def test_the_fingerprint_tells_forms_apart_and_stays_without_one():
    plain = make_lm("llama").fingerprint
    assert with_form(TextForm()).fingerprint == plain
    assert (
        len({plain, with_form(SENTENCES).fingerprint, with_form(TextForm("<end>")).fingerprint})
        == 3
    )
