"""What `vizer evaluate` and `vizer compare` need beside words: a CLIP, images, own metrics."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer

from vizer_core.cli.encoders import clip_encoder
from vizer_core.cli.models import PACKED, folder_of

NEED_IMAGES = ("clipscore", "clip_cosine", "refclipscore", "self_retrieval", "self_retrieval_r1")

Images = Annotated[
    Path | None,
    typer.Option(
        callback=folder_of,
        help=f"The images' folder, for clipscore, refclipscore, self_retrieval; {PACKED}.",
    ),
]
ScoringClip = Annotated[
    str | None,
    typer.Option(
        "--clip",
        help="With --images: open_clip's name of a CLIP, its folder, or 'drawn'. Published "
        "CLIPScores: ViT-B-32 --pretrained openai.",
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        "--clip-prefix",
        help="With --images: what stands before each caption. Default: CLIPScore's 'A photo "
        "depicts ', and nothing with the drawn CLIP, which never read it.",
    ),
]
MetricFunctions = Annotated[
    list[str] | None,
    typer.Option(
        "--metric-function",
        help="A metric of your own, module:function, from this folder or installed: (captions, "
        "references) -> one score per image. May be given several times.",
    ),
]


@dataclass(frozen=True)
class ClipChoice:
    """Which images are scored by which CLIP; `images` is None where no CLIP is asked for."""

    images: Path | None = None
    clip: str | None = None
    pretrained: str | None = None
    quick_gelu: bool = False
    prefix: str | None = None
    device: str = "auto"
    kept: dict[Any, Any] = field(default_factory=dict, compare=False)  # ids -> features

    def check(self, metrics: str) -> None:
        """End with status 2 if options are missing, or would be ignored."""
        asked = [name for name in map(str.strip, metrics.split(",")) if name in NEED_IMAGES]
        if self.images is None:
            if asked:
                raise typer.BadParameter(f"{asked[0]} wants --images FOLDER and --clip NAME")
            given = (self.clip, self.pretrained, self.quick_gelu or None, self.prefix)
            if any(value is not None for value in given):
                raise typer.BadParameter(
                    "--clip and its options are of no use without --images FOLDER: leave them out"
                )
        elif self.clip is None:
            raise typer.BadParameter(
                "--images wants --clip NAME, such as ViT-B-32 with --pretrained openai, or drawn"
            )
        elif metrics != "auto" and not asked:
            raise typer.BadParameter(
                f"--metrics {metrics} need no --images: name clipscore too, or leave --images out"
            )

    def files(self) -> list[str]:
        """Return the CLIP's folder or name and its weights, where they are not the drawn CLIP."""
        given = (None if self.clip == "drawn" else self.clip, self.pretrained)
        return [name for name in given if name is not None]

    @cached_property
    def encoder(self) -> Any:
        """The CLIP, loaded once."""
        return clip_encoder(self.clip, self.pretrained, self.device, self.quick_gelu)

    def add_features(self, inputs: Any, matched: Any, names: Mapping[Any, str]) -> Any:
        """Return the inputs with features of the images, captions and references that match.

        `names` are the files' names by image id, where the references give them.
        """
        from vizer_core.metrics.clipscore import PREFIX

        named = {str(image): name for image, name in names.items()}
        wanted = [named.get(str(image), str(image)) for image in matched.ids]
        if matched.ids not in self.kept:
            self.kept[matched.ids] = self._image_features(wanted)
        given = self.prefix is not None
        return replace(inputs, image_features=self.kept[matched.ids]).encoded(
            self.encoder,
            matched.hypotheses,
            references=matched.references.captions,
            prefix=self.prefix if given else "" if self.clip == "drawn" else PREFIX,
        )

    def _image_features(self, wanted: list[str]) -> Any:
        from vizer_core.clip import encode_records, load_features
        from vizer_core.data.folder import image_names
        from vizer_core.data.image_names import meet_images
        from vizer_core.data.records import Record

        if not self.images.is_dir():
            raise FileNotFoundError(f"no folder {self.images}")
        there = image_names(self.images)
        met = meet_images(wanted, {name: name for name in there})
        absent = [name for name in wanted if name not in met]
        if absent:
            example = f"; {there[0]} is there" if there else ""
            raise FileNotFoundError(
                f"{len(absent)} of {len(wanted)} images are not in {self.images}: "
                f"{', '.join(absent[:3])}{example}. Wanted file names, or COCO's numbers, as ids."
            )
        records = [Record(met[name], self.images / met[name], ()) for name in wanted]
        with tempfile.TemporaryDirectory(prefix="vizer-score-") as folder:
            done = encode_records(records, self.encoder, out_dir=Path(folder))
            if done.skipped:
                first = done.skipped[0]
                raise ValueError(
                    f"{len(done.skipped)} of {len(wanted)} images cannot be read, first "
                    f"{first.path}: {first.reason}. Mend them, or take them out of both files."
                )
            return load_features(Path(folder)).image_features


def own_metrics(given: list[str] | None) -> dict[str, Callable[..., Any]]:
    """Import the functions that are named as module:function; each is called by its own name."""
    found: dict[str, Callable[..., Any]] = {}
    for text in given or ():
        module, _, name = text.partition(":")
        if not module or not name.isidentifier():
            raise typer.BadParameter(f"--metric-function {text!r}: wanted module:function")
        if name in found:
            raise typer.BadParameter(f"--metric-function: two functions are called {name!r}")
        found[name] = _imported(module, name)
    return found


def metric_files(given: list[str] | None) -> list[str]:
    """Return the files that the modules of --metric-function, and their packages, were read from.

    Only of modules that `own_metrics` has imported.
    """
    names: list[str] = []
    for text in given or ():
        parts = text.partition(":")[0].split(".")
        names += [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
    files = (getattr(sys.modules.get(name), "__file__", None) for name in names)
    return [file for file in files if file is not None]


def _imported(module: str, name: str) -> Callable[..., Any]:
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        function = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise typer.BadParameter(
            f"--metric-function {module}:{name}: {error}; looked in {here} and what is installed"
        ) from error
    finally:
        sys.path.remove(here)
    if not callable(function):
        raise typer.BadParameter(f"--metric-function: {module} has no function {name}")
    return function
