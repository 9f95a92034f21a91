"""What encoders of open_clip's list need, read from configurations."""

from __future__ import annotations

import open_clip
import pytest

from vizer_core.clip.needs import PAPERS_ENCODERS, encoder_needs, needs_table


def test_a_plain_clip_needs_its_weights_alone():
    needs = encoder_needs("ViT-B-32")
    assert (needs.image_size, needs.dimension, needs.context) == (224, 512, 77)
    assert needs.wants == () and needs.identifier == "ViT-B-32/openai"


@pytest.mark.parametrize(
    ("name", "wants"),
    [
        ("MobileCLIP2-S0", ("timm",)),
        ("coca_ViT-B-32", ("text decoder",)),
        ("ViT-B-16-SigLIP", ("timm", "hub tokenizer")),
        ("roberta-ViT-B-32", ("hub text tower", "hub tokenizer")),
    ],
)
def test_what_else_an_encoder_wants(name, wants):
    needs = encoder_needs(name)
    assert needs.wants == wants
    assert (needs.context is None) == ("hub text tower" in wants)


def test_every_listed_encoder_has_its_needs():
    for name in open_clip.list_models():
        needs = encoder_needs(name)
        assert needs.dimension > 0 and needs.image_size > 0, name
        assert set(needs.tags) == set(open_clip.list_pretrained_tags_by_model(name))


def test_the_table_has_a_row_an_encoder_in_order():
    rows = needs_table()
    assert [row["encoder"].split("/")[0] for row in rows] == list(PAPERS_ENCODERS)
    assert rows[0]["needs"] == "its weights alone"
    (own,) = needs_table(["roberta-ViT-B-32"])
    assert own["tokens"] == "its own"


def test_an_unknown_name_is_told_with_near_ones():
    with pytest.raises(ValueError, match=r"near names: .*MobileCLIP2-S0"):
        encoder_needs("MobileCLIP2-S9")
