"""From a method's name to its captioner: its trained part, its models, its search.

==================================  =============================================================
maccap, maccap_pass, baseline,      read a trained part, from `vizer train-captioner` or shipped
capdec, decap
clipre, magic, zerocap              nothing is trained; clipre and decap look into a memory
==================================  =============================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vizer_core.captioners.baseline import Baseline
from vizer_core.captioners.capdec import CapDec
from vizer_core.captioners.clipre import ClipRe
from vizer_core.captioners.decap import DeCap
from vizer_core.captioners.maccap import MacCap, SampledMacCap
from vizer_core.captioners.magic import MAGIC_COCO, MAGIC_MICRO, Magic
from vizer_core.captioners.memory_bank import MemoryBank
from vizer_core.captioners.protocol import Captioner
from vizer_core.captioners.zerocap import (
    ZEROCAP,
    ZEROCAP_MICRO,
    ZEROCAP_MICRO_PROMPT,
    ZEROCAP_PROMPT,
    ZeroCap,
)
from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.decoding import Style
from vizer_core.runtime import seeded
from vizer_core.shipped import shipped
from vizer_core.store import load_manifest
from vizer_core.textonly import GaussianNoise, PrefixWriter, load_adaptor
from vizer_core.textonly.filtering import MACCAP_DECODING
from vizer_core.textonly.presets import TRAINING_OF, trainings_for

TRAINED = ("maccap", "maccap_pass", "baseline", "capdec", "decap")
WITH_MEMORY = ("clipre", "decap")
METHODS = (*TRAINED, "clipre", "magic", "zerocap")
MICRO = ("micro", "micro-lm")  # models that a trained part is shipped for


@dataclass(frozen=True)
class Parts:
    """What a captioner is made of beside its CLIP and its language model.

    `trained` is a file from `vizer train-captioner`; None takes a shipped one, if it fits. `memory`
    are the captions that clipre repeats and decap projects on. `micro` takes the settings for the
    micro models.
    """

    trained: Path | None = None
    memory: Sequence[str] = ()
    micro: bool = False
    seed: int = 0


def captioner_of(
    method: str, encoder: ImageTextEncoder, lm: Any, parts: Parts, style: Style | None = None
) -> Captioner:
    """Make the captioner of a method; `lm` may be None for clipre alone.

    Raises `ValueError` on an unknown method, on a trained part of another method or of other
    models, and where no shipped one fits.
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}: wanted one of {', '.join(METHODS)}")
    style = style or Style()
    if method == "magic":
        return _magic(encoder, lm, style, micro=parts.micro)
    if method == "zerocap":
        return _zerocap(encoder, lm, style, micro=parts.micro)
    if method == "clipre":
        return ClipRe(_memory(encoder, parts))
    path = parts.trained or _shipped_adaptor(method, encoder, lm)
    adaptor = load_adaptor(path, encoder=encoder, language_model=lm)
    writer = PrefixWriter(adaptor, lm, style.rule(MACCAP_DECODING))
    if method == "decap":
        return DeCap(writer, _memory(encoder, parts))
    if method in ("baseline", "capdec"):
        return {"baseline": Baseline, "capdec": CapDec}[method](writer)
    inner = MacCap(writer, noise=_noise_of(path))
    return SampledMacCap(inner, encoder) if method == "maccap" else inner


def _memory(encoder: ImageTextEncoder, parts: Parts) -> MemoryBank:
    texts = list(parts.memory)
    return MemoryBank.from_captions(encoder, texts, size=len(texts), generator=seeded(parts.seed))


def _magic(encoder: Any, lm: Any, style: Style, *, micro: bool) -> Magic:
    config = MAGIC_MICRO if micro else MAGIC_COCO
    return Magic(lm, encoder, replace(config, max_tokens=style.max_tokens or config.max_tokens))


def _zerocap(encoder: Any, lm: Any, style: Style, *, micro: bool) -> ZeroCap:
    config, prompt = ZEROCAP, ZEROCAP_PROMPT
    if micro:
        config, prompt = ZEROCAP_MICRO, ZEROCAP_MICRO_PROMPT
    length, beams = style.max_tokens or config.max_tokens, style.beams or config.beams
    config = replace(config, max_tokens=length, beams=beams)
    return ZeroCap(lm, encoder, config, prompt=prompt if style.prompt is None else style.prompt)


def _shipped_adaptor(method: str, encoder: Any, lm: Any) -> Path:
    """Return the shipped adaptor of a method, of MacCap's decoder, if it fits these models."""
    path = shipped("captioner", f"micro-{TRAINING_OF[method]}")()
    made_for = load_manifest(path)
    fits = (made_for["clip"]["fingerprint"], made_for["language_model"]["fingerprint"])
    if (encoder.fingerprint, lm.fingerprint) != fits:
        raise ValueError(
            f"--method {method} with {encoder.name} and {lm.name} wants --captioner FILE: the "
            f"shipped one is for {made_for['clip']['name']} and "
            f"{made_for['language_model']['name']}. "
            f"Train one with vizer train-captioner --method {TRAINING_OF[method]} --out FILE and "
            "the same --clip, --pretrained and --language-model"
        )
    return path


def require_adaptor(method: str, adaptor: Path | None, *, models: tuple[str, str]) -> None:
    """Raise before any model is loaded if there is no captioner file, or it is another method's."""
    wanted = TRAINING_OF[method]
    how = (
        f"train one with vizer train-captioner --method {wanted} --out FILE and the same --clip, "
        "--pretrained and --language-model"
    )
    if adaptor is None:
        if models != MICRO:
            raise ValueError(
                f"--method {method} with {' and '.join(models)} wants --captioner FILE: {how}"
            )
        return
    if not adaptor.is_file():
        raise FileNotFoundError(f"no captioner file {adaptor}: {how}")
    made_for = load_manifest(adaptor).get("method", wanted)
    if made_for not in trainings_for(method):
        fits = ", ".join(name for name in TRAINING_OF if made_for in trainings_for(name))
        raise ValueError(
            f"{adaptor} was trained by vizer train-captioner --method {made_for}, and --method "
            f"{method} wants one of --method {wanted}: train that, or caption with {fits}"
        )


def _noise_of(adaptor: Path) -> GaussianNoise:
    """Return the noise that an adaptor was trained with, from its manifest."""
    config = load_manifest(adaptor).get("config")
    noise = config.get("noise") if isinstance(config, dict) else None
    if not isinstance(noise, dict) or not {"kind", "variance"} <= noise.keys():
        raise ValueError(f"{adaptor}: its manifest does not say with which noise it was trained")
    if noise["kind"] != "GaussianNoise":
        raise ValueError(f"{adaptor} was trained with {noise['kind']}: MacCap wants GaussianNoise")
    return GaussianNoise(noise["variance"])
