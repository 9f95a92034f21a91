"""The captioner that `vizer caption --method` names: its trained file, its models, its search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vizer_core.cli.captioner_options import TRAINING_OF, corpus_of, trainings_for
from vizer_core.cli.decoding_options import decoding_of
from vizer_core.cli.models import MICRO_LM


@dataclass(frozen=True)
class Style:
    """How a caption is written: what the options say, None where they leave it to the method."""

    prompt: str | None = None
    max_tokens: int | None = None
    beams: int | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        from vizer_core.decoding import Greedy

        self.rule(Greedy())  # refuses beams and drawing at once, before a model is loaded

    def rule(self, default: Any) -> Any:
        """Return the rule of decoding that these options mean."""
        return decoding_of(
            default, max_tokens=self.max_tokens, beams=self.beams, temperature=self.temperature
        )

    def given(self) -> dict[str, Any]:
        """Return what was given, by the name of its option."""
        return {name: value for name, value in vars(self).items() if value is not None}


def captioner_of(
    method: str, encoder: Any, lm: Any, options: dict[str, Any], style: Style = Style()
) -> Any:
    """Make the captioner that --method names."""
    from vizer_core import captioners as c
    from vizer_core.runtime import seeded
    from vizer_core.textonly import PrefixWriter, load_adaptor
    from vizer_core.textonly.filtering import MACCAP_DECODING

    def memory() -> Any:
        texts = list(corpus_of(options["corpus"], options["memory"]).captions)
        return c.MemoryBank.from_captions(
            encoder, texts, size=len(texts), generator=seeded(options["seed"])
        )

    if method == "clipre":
        return c.ClipRe(memory())
    if method == "magic":
        return _magic(encoder, lm, style, micro=options["micro"])
    if method == "zerocap":
        return _zerocap(encoder, lm, style, micro=options["micro"])
    path = options["captioner"] or _shipped_adaptor(method, encoder, lm)
    adaptor = load_adaptor(path, encoder=encoder, language_model=lm)
    writer = PrefixWriter(adaptor, lm, style.rule(MACCAP_DECODING))
    if method == "decap":
        return c.DeCap(writer, memory())
    if method in ("baseline", "capdec"):
        return {"baseline": c.Baseline, "capdec": c.CapDec}[method](writer)
    noise = _noise_of(path)
    inner = c.MacCap(writer, noise=noise)
    return c.SampledMacCap(inner, encoder) if method == "maccap" else inner


def _magic(encoder: Any, lm: Any, style: Style, *, micro: bool) -> Any:
    from vizer_core.captioners.magic import MAGIC_COCO, MAGIC_MICRO, Magic

    config = MAGIC_MICRO if micro else MAGIC_COCO
    return Magic(lm, encoder, replace(config, max_tokens=style.max_tokens or config.max_tokens))


def _zerocap(encoder: Any, lm: Any, style: Style, *, micro: bool) -> Any:
    from vizer_core.captioners import zerocap as z

    config, prompt = z.ZEROCAP, z.ZEROCAP_PROMPT
    if micro:
        config, prompt = z.ZEROCAP_MICRO, z.ZEROCAP_MICRO_PROMPT
    length, beams = style.max_tokens or config.max_tokens, style.beams or config.beams
    config = replace(config, max_tokens=length, beams=beams)
    return z.ZeroCap(lm, encoder, config, prompt=prompt if style.prompt is None else style.prompt)


def _shipped_adaptor(method: str, encoder: Any, lm: Any) -> Path:
    """Return the shipped adaptor of a method, of MacCap's decoder, if it fits these models."""
    from vizer_core.captioners.micro_adaptor import micro_adaptor_path
    from vizer_core.store import load_manifest

    path = micro_adaptor_path(f"micro-{TRAINING_OF[method]}")
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
    from vizer_core.store import load_manifest

    wanted = TRAINING_OF[method]
    how = (
        f"train one with vizer train-captioner --method {wanted} --out FILE and the same --clip, "
        "--pretrained and --language-model"
    )
    if adaptor is None:
        if models != ("micro", MICRO_LM):
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


def _noise_of(adaptor: Path) -> Any:
    """Return the noise that an adaptor was trained with, from its manifest."""
    from vizer_core.store import load_manifest
    from vizer_core.textonly import GaussianNoise

    config = load_manifest(adaptor).get("config")
    noise = config.get("noise") if isinstance(config, dict) else None
    if not isinstance(noise, dict) or not {"kind", "variance"} <= noise.keys():
        raise ValueError(f"{adaptor}: its manifest does not say with which noise it was trained")
    if noise["kind"] != "GaussianNoise":
        raise ValueError(f"{adaptor} was trained with {noise['kind']}: MacCap wants GaussianNoise")
    return GaussianNoise(noise["variance"])
