"""How `vizer_core.shipped` gets at what is shipped: one function a kind, named in pyproject.toml.

Each takes the name first. What it needs is imported when it is called, since the command line
looks at names before it loads anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizer_core.clip import OpenClipEncoder
    from vizer_core.data.corpus import CaptionCorpus
    from vizer_core.language import CausalLM
    from vizer_core.vlm import SmolVlm


def clip(name: str, device: str = "cpu") -> OpenClipEncoder:
    """Load a shipped CLIP."""
    from vizer_lab.zoo.clips import load_drawn_clip

    return load_drawn_clip(name, device)


def language_model(name: str, device: str = "cpu") -> CausalLM:
    """Load a shipped language model."""
    from vizer_lab.zoo.language_models import load_drawn_lm

    return load_drawn_lm(device, name)


def vlm(name: str, device: str = "cpu") -> SmolVlm:
    """Load a shipped vision-language model, a fresh one at each call."""
    from vizer_lab.zoo.vlms import load_drawn_vlm

    return load_drawn_vlm(name, device)


def real_language_vlm(name: str, device: str = "cpu") -> SmolVlm:
    """Load the shipped VLM whose language half is SmolLM2-135M, which its own wheel brings.

    Raises `ImportError` that says what to install where that wheel is missing.
    """
    from vizer_lab.zoo.real_language_vlm import load_real_language_vlm

    vlm = load_real_language_vlm()
    vlm.model.to(device)
    vlm.name = name
    return vlm


def captioner(name: str) -> Path:
    """Return where the trained part of a shipped captioner lies."""
    from vizer_lab.zoo.captioners import drawn_prefix_network_path

    return drawn_prefix_network_path(name)


def adapter(name: str) -> Path:
    """Return the folder of a shipped LoRA adapter."""
    from vizer_lab.zoo.adapters import shipped_adapter

    return shipped_adapter(name)


def corpus(name: str, limit: int) -> CaptionCorpus:
    """Return the first captions of a corpus of the drawn world, at home or away."""
    from vizer_lab.world.corpora import drawn_corpus

    return drawn_corpus(name.removeprefix("drawn-"), limit)


def vqa_prompt(name: str) -> Callable[[str, str], str]:
    """Return how a shipped language model is asked: the form of question that it was trained on."""
    from vizer_lab.world.vqa_items import drawn_prompt

    return drawn_prompt
