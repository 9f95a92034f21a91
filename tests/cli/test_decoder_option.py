"""`vizer caption --decoder`: the names are those of the library, and what it excludes is said."""

from __future__ import annotations

from contextlib import closing

import pytest
import typer

from vizer_core.cli.caption_vlm import Looks, VlmCaptions
from vizer_core.cli.decoding_options import DECODER_NAMES, require_decoder
from vizer_core.decoding import Style
from vizer_core.runtime import seeded
from vizer_core.vizer.decoders import DECODERS, decode_with
from vizer_core.vizer.text_states import ImageSource


def test_the_names_in_the_help_are_the_decoders_there_are():
    assert tuple(DECODERS) == DECODER_NAMES


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (("magic", None, None, None), "no decoder 'magic'"),
        (("fused", 4, None, None), "has its own beams"),
        (("fused", None, 0.7, None), "has its own beams"),
        (("fused", None, None, ["a", "two"]), "give --first-word once"),
    ],
)
def test_what_it_excludes_is_refused(given, wanted):
    with pytest.raises(typer.BadParameter, match=wanted):
        require_decoder(*given)


def test_it_runs_in_one_process_only(monkeypatch):
    require_decoder("fused", None, None, ["a"])
    require_decoder(None, 4, None, None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(typer.BadParameter, match="leave torchrun out"):
        require_decoder("fused", None, None, None)


def test_captions_are_those_of_the_decoder():
    from PIL import Image

    images = [Image.new("RGB", (112, 112), name) for name in ("red", "green")]
    looks, style = Looks(opening=("a",), decoder="consensus"), Style(max_tokens=5)
    load = {"at_once": 2, "device": "cpu", "dtype": "auto"}
    with closing(VlmCaptions(images, "drawn-vlm-web", None, style, looks, **load)) as captions:
        found, vlm = captions([0, 1], seeded(0)), captions.vlm
    source = ImageSource(vlm, images)
    assert found == decode_with(
        "consensus", vlm, source, word="a", style=style, generator=seeded(0)
    )
    assert captions.job["decoder"] == "consensus" and captions.job["first_word"] == ["a"]
    assert looks.given() == {"decoder": "consensus", "first_word": ["a"]}
