"""Which model, and which pictures, the options of the captioning commands mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from PIL import Image

MICRO_VLMS = ("micro-vlm", "micro-vlm-hard")
MICRO_LM = "micro-lm"


def vlm_of(model: str, device: str) -> Any:
    """Load a vision-language model: a micro one by name, others by hub id or folder."""
    from vizer_core.runtime import pick_device

    place = pick_device(device)
    if model in MICRO_VLMS:
        from vizer_core.micro import load_micro_vlm

        return load_micro_vlm(model, place)
    from vizer_core.vlm import load_vlm

    return load_vlm(model, device=str(place))


def adapter_of(name: str) -> Path:
    """Return the folder of a LoRA adapter: a path, or the name of a shipped one."""
    from vizer_core.vizer.shipped import ADAPTER_RECIPES, shipped_adapter

    if name in ADAPTER_RECIPES and not Path(name).is_dir():
        return shipped_adapter(name)
    if not Path(name).is_dir():
        raise FileNotFoundError(
            f"no adapter folder {name}: train one with vizer enhance --out FOLDER, or name a "
            f"shipped one: {', '.join(sorted(ADAPTER_RECIPES))}"
        )
    return Path(name)


def language_model_of(model: str, device: str) -> Any:
    """Load a causal language model: the micro one by name, others by hub id or folder."""
    from vizer_core.runtime import pick_device

    place = str(pick_device(device))
    if model == MICRO_LM:
        from vizer_core.micro.lm_lab import load_micro_lm

        return load_micro_lm(place)
    from vizer_core.language import CausalLM

    return CausalLM.from_pretrained(model, device=place)


def read_pictures(path: Path) -> tuple[list[str], list[Image.Image]]:
    """Read one image or a folder of them; what is no whole image is named, counted and left out."""
    from vizer_core.data import CorruptImage, open_image, read_folder

    path = Path(path)
    files = [path] if path.is_file() else [record.image for record in read_folder(path)]
    names, images, broken = [], [], []
    for file in files:
        try:
            images.append(open_image(file))
        except CorruptImage as error:
            broken.append(f"{file}: {error}")
            continue
        names.append(file.name if path.is_file() else file.relative_to(path).as_posix())
    for line in broken:
        typer.echo(f"skipped {line}", err=True)
    if not images:
        raise ValueError(f"none of the {len(files)} files under {path} is a whole image")
    if broken:
        typer.echo(f"skipped {len(broken)} of {len(files)} files", err=True)
    return names, images
