"""Which model, and which pictures, the options of the captioning commands mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizer_core.cli.app import say

if TYPE_CHECKING:
    from PIL import Image

MICRO_VLMS = ("micro-vlm", "micro-vlm-hard")
MICRO_LM = "micro-lm"
IN_MEMORY = 256 * 2**20  # bytes of decoded images; beyond, each is opened again when it is needed


def vlm_of(model: str, device: str, dtype: str = "auto") -> Any:
    """Load a vision-language model: a micro one by name, others by hub id or folder."""
    from vizer_core.runtime import pick_device

    place = pick_device(device)
    sharded = _start(place)
    load_on = "cpu" if sharded else str(place)
    if model in MICRO_VLMS:
        _require_auto(dtype, model)
        from vizer_core.micro import load_micro_vlm

        vlm = load_micro_vlm(model, load_on)
    else:
        from vizer_core.vlm import load_vlm
        from vizer_core.vlm.pretrained import auto_dtype

        wanted = _dtype(dtype) or auto_dtype(place)  # where it runs, not where it is loaded
        vlm = load_vlm(model, device=load_on, dtype=wanted)
    return _shard(vlm, place) if sharded else vlm


def _start(place: Any) -> bool:
    """Join the other processes; say whether they are to share the model's weights."""
    from vizer_core.processes import start_processes
    from vizer_core.sharding import sharding_asked

    start_processes(place)
    return sharding_asked()


def _shard(model: Any, place: Any) -> Any:
    """Cut a model over the processes, and say what this leaves in each."""
    held = model.shard(place)
    say(f"sharded (FSDP): each process holds {held.here / 2**20:,.1f} of "
        f"{held.whole / 2**20:,.1f} MiB of the model", err=True)  # fmt: skip
    return model


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
    if not (Path(name) / "vizer.json").is_file() and (Path(name) / "adapter_config.json").is_file():
        raise ValueError(
            f"{name} is a PEFT adapter without vizer's manifest (vizer.json), so nothing says "
            "which base it fits: merge it into its base with peft's merge_and_unload, save that, "
            "and give the folder to --model"
        )
    return Path(name)


def dtype_of(model: Any) -> str:
    """Return the precision of a vision-language model's weights, as --dtype names it."""
    return str(next(model.model.parameters()).dtype).removeprefix("torch.")


def require_dtype(adapter: Path, vlm: Any) -> None:
    """Raise `ValueError` if an adapter was trained on the model in another precision.

    A model's fingerprint depends on it, so that the adapter would seem to fit another model.
    """
    from vizer_core.store import read_record

    record = read_record(adapter / "vizer.json")
    made_by = record.get("made_by")
    trained = made_by.get("dtype") if isinstance(made_by, dict) else None
    if trained is not None and trained != dtype_of(vlm):
        raise ValueError(
            f"{adapter} was trained on {record.get('vlm')!r} in {trained}, this model is loaded in "
            f"{dtype_of(vlm)}: give --dtype {trained}"
        )


def language_model_of(model: str, device: str, dtype: str = "auto") -> Any:
    """Load a causal language model: the micro one by name, others by hub id or folder."""
    from vizer_core.runtime import pick_device

    place = pick_device(device)
    sharded = _start(place)
    load_on = "cpu" if sharded else str(place)
    if model == MICRO_LM:
        _require_auto(dtype, model)
        from vizer_core.micro.lm_lab import load_micro_lm

        lm = load_micro_lm(load_on)
    else:
        import torch

        from vizer_core.language import CausalLM

        lm = CausalLM.from_pretrained(model, device=load_on, dtype=_dtype(dtype) or torch.float32)
    return _shard(lm, place) if sharded else lm


def _require_auto(dtype: str, model: str) -> None:
    if dtype != "auto":
        raise ValueError(f"{model} is shipped in float32: leave --dtype {dtype} out")


def _dtype(name: str) -> Any:
    """Return the torch dtype of a name, or None for 'auto'."""
    import torch

    from vizer_core.cli.app import DTYPES, choice

    choice("--dtype", name, DTYPES)
    return None if name == "auto" else getattr(torch, name)


def require_there(pictures: Path) -> None:
    """Raise `FileNotFoundError` if there is nothing at a path, before a model is loaded."""
    if not Path(pictures).exists():
        raise FileNotFoundError(f"no image and no folder of images at {pictures}")


def image_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the images at `paths` by name: a file's own, or its place in the folder that is given.

    A file that is met twice counts once. Raises `ValueError` where two would have one name, and
    `FileNotFoundError` where nothing is there.
    """
    from vizer_core.data import read_folder

    found: dict[str, Path] = {}
    for path in map(Path, paths):
        require_there(path)
        files = [path] if path.is_file() else [record.image for record in read_folder(path)]
        before = {file.resolve() for file in found.values()}
        for file in files:
            name = file.name if path.is_file() else file.relative_to(path).as_posix()
            if file.resolve() in before:
                continue
            if name in found:
                raise ValueError(
                    f"{found[name]} and {file} would both be called {name}: caption them in two "
                    "calls, or give the folder above both"
                )
            found[name] = file
    return found


def read_pictures(*paths: Path) -> tuple[list[str], Sequence[Image.Image]]:
    """Read images and folders of images; what is no whole image is named, counted and left out.

    Each file is opened once to see that it is whole; beyond `IN_MEMORY` bytes none is kept.
    """
    from vizer_core.data import CorruptImage, open_image

    files = image_files(paths)
    images, whole, broken, held = [], {}, [], 0
    for name, file in files.items():
        try:
            image = open_image(file)
        except CorruptImage as error:
            broken.append(f"{file}: {error.reason}")
            continue
        whole[name] = file
        held += image.width * image.height * 4  # Pillow keeps four bytes a pixel
        if held <= IN_MEMORY:
            images.append(image)
        else:
            images.clear()
    for line in broken:
        say(f"skipped {line}", err=True)
    if not whole:
        under = ", ".join(map(str, paths))
        raise ValueError(f"none of the {len(files)} files under {under} is a whole image")
    if broken:
        say(f"skipped {len(broken)} of {len(files)} files", err=True)
    if images:
        return list(whole), images
    from vizer_core.study import ImageFiles

    return list(whole), ImageFiles(list(whole.values()))
