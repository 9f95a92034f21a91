"""The CLIPs of the full profile: by default, by name, and from a folder."""

from __future__ import annotations

import pytest

from tests.cli.checkpoints import save_clip
from vizer_core.clip import OpenClipEncoder
from vizer_core.clip.full import FULL_MODELS, full_models, load_full_clip


def test_each_clip_can_be_named_alone(monkeypatch):
    assert full_models() == FULL_MODELS
    monkeypatch.setenv("VIZER_CLIP", "ViT-L-14/openai")
    assert full_models() == ("ViT-L-14/openai", FULL_MODELS[1])
    monkeypatch.setenv("VIZER_JUDGE", "models/judge")
    assert full_models() == ("ViT-L-14/openai", "models/judge")


def test_a_clip_does_not_judge_its_own_captions(monkeypatch):
    monkeypatch.setenv("VIZER_CLIP", FULL_MODELS[1])
    with pytest.raises(ValueError, match="both name ViT-B-32/laion2b_s34b_b79k: wanted two"):
        full_models()


def test_a_folder_is_read_and_a_name_is_looked_up(tmp_path, monkeypatch):
    folder = save_clip(tmp_path / "clip")
    assert load_full_clip(str(folder)).name == str(folder)
    asked = []

    def load(name, tag, *, device):
        asked.append((name, tag))
        return OpenClipEncoder.from_folder(folder, device=device)

    monkeypatch.setattr(OpenClipEncoder, "from_pretrained", staticmethod(load))
    load_full_clip(FULL_MODELS[0])
    assert asked == [("ViT-B-32", "openai")]


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        ("ViT-B-32", ValueError, "model is 'ViT-B-32': wanted name/tag, for instance 'ViT-B-32/op"),
        ("/no/clip", FileNotFoundError, "no such folder: /no/clip. A name looks like ViT-B-32/op"),
    ],
)
def test_what_is_neither_is_refused(model, kind, message):
    with pytest.raises(kind, match=message):
        load_full_clip(model)
