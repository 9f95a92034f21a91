"""Cards of adapters and merged models: ours is written anew, what somebody else wrote stays."""

from __future__ import annotations

import pytest

from vizer_core.vizer.model_card import write_merged_card
from vizer_lab.zoo.vlms import load_drawn_vlm

VLM = load_drawn_vlm("drawn-vlm-web")


def test_a_card_of_ours_is_written_anew(tmp_path):
    write_merged_card(tmp_path, VLM, "first")
    write_merged_card(tmp_path, VLM, "second")
    text = (tmp_path / "README.md").read_text()
    assert "`second`" in text and "first" not in text


def test_a_readme_that_somebody_wrote_stays_and_it_is_said(tmp_path):
    (tmp_path / "README.md").write_text("my notes on vizer")
    with pytest.warns(UserWarning, match=r"README\.md is not a card of ours and stays"):
        write_merged_card(tmp_path, VLM, "adapter")
    assert (tmp_path / "README.md").read_text() == "my notes on vizer"


@pytest.mark.parametrize(
    ("reading", "options"), [({}, ""), ({"max_pixels": 99}, " --max-pixels 99")]
)
def test_a_merged_models_command_names_its_folder(tmp_path, reading, options):
    write_merged_card(tmp_path, VLM, "adapter", reading=reading)
    said = " ".join((tmp_path / "README.md").read_text().split())
    assert f"`vizer caption IMAGES --model {tmp_path.name}{options}`" in said
