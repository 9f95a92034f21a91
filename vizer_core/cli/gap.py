"""`vizer gap`: the modality gap of saved features, or of a folder of images with captions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from vizer_core.cli.app import (
    JsonOut,
    Overwrite,
    Seed,
    app,
    errors_as_exit_status,
    keep_inputs,
    show_and_write,
)
from vizer_core.cli.encoders import clip_encoder
from vizer_core.cli.models import PACKED, folder_of
from vizer_core.shipped import shipped_names


@app.command(name="gap", short_help="Report the modality gap of a CLIP or of features.")
def gap_command(
    features: Annotated[
        Path | None,
        typer.Option(
            help=".npy or .safetensors: [2, n, d], unit-norm images and then their texts; or what "
            "vizer features writes."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            callback=folder_of,
            help=f"A folder of images, with --captions; {PACKED}, which bring their captions; or "
            "features, [n, d], with --texts.",
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(help=".npy or .safetensors: the features, [n, d], of the texts of --images."),
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="JSON, JSON lines or COCO annotations that name the images.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="open_clip's name, such as ViT-B-32, its folder, or 'drawn'.")
    ] = "drawn",
    pretrained: Annotated[
        str | None, typer.Option(help="A tag, such as openai, or a .safetensors or .pt file.")
    ] = None,
    quick_gelu: Annotated[
        bool, typer.Option("--quick-gelu", help="For a file that descends from OpenAI's weights.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json_out: JsonOut = None,
    overwrite: Overwrite = False,
    resamples: Annotated[int, typer.Option(min=40, help="Bootstrap resamples of pairs.")] = 1000,
    seed: Seed = 0,
) -> None:
    """Report the modality gap of saved features, or of a folder of images with captions.

    Give --features; or --images and --texts, two files whose row i is one pair; or --images with
    --captions and a model, where of several captions the first one counts. Saved features cost
    about a second for 5,000 pairs; a folder costs one pass of the model, and published weights come
    from the local cache or the hub. Prints a table; --json writes every number, with 95% intervals
    under "intervals".
    """
    if images is not None and features is None and texts is None:
        captions = captions or _captions_that_came_with(images)
    _require_one_way(features, images, texts, captions)
    if captions is None and (model != "drawn" or pretrained is not None or quick_gelu):
        raise typer.BadParameter("saved features need no model: leave --model and its options out")
    shipped = model in ("drawn", *shipped_names("clip"))
    named = not shipped and ":" not in model and not Path(model).is_dir()
    if named and pretrained is None:
        raise typer.BadParameter(f"--model {model} wants --pretrained TAG or a file of weights")
    read = (features, texts, captions, pretrained, None if shipped else model)
    keep_inputs(json_out, "--json", *read, images=(images,) if images else ())
    with errors_as_exit_status(*read, images, goes_on=False):
        from vizer_core.gap import bootstrap_gap, measure_gap
        from vizer_core.gap.feature_file import read_folder_pairs, read_pairs, read_two_files
        from vizer_core.gap.interval import MIN_PAIRS
        from vizer_core.runtime import seeded

        if features is not None:
            pairs = read_pairs(features)
        elif texts is not None:
            pairs = read_two_files(images, texts)
        else:
            encoder = clip_encoder(model, pretrained, device, quick_gelu)
            pairs = read_folder_pairs(images, captions, encoder)
        report = measure_gap(pairs.image_features, pairs.text_features)
        intervals = {}
        if report.n >= MIN_PAIRS:
            intervals = bootstrap_gap(
                pairs.image_features,
                pairs.text_features,
                generator=seeded(seed),
                resamples=resamples,
                centred=True,
            )
        content = _null_for_nan(report.to_dict() | _spans(intervals))
        show_and_write(report.table(intervals), json_out, content)


def _captions_that_came_with(images: Path) -> Path | None:
    from vizer_core.data.packed import captions_of

    return captions_of(images)


def _require_one_way(
    features: Path | None, images: Path | None, texts: Path | None, captions: Path | None
) -> None:
    """End with status 2 unless the files are those of one of the three ways to give pairs."""
    given = [file is not None for file in (features, images, texts, captions)]
    if given in ([1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1]):
        return
    if given == [0, 1, 0, 0]:
        raise typer.BadParameter(
            "--images wants --captions FILE, or --texts FILE if it is a file of features: a gap is "
            "measured on pairs"
        )
    raise typer.BadParameter(
        "give one of these: --features FILE, or --images FILE --texts FILE, or --images FOLDER "
        "--captions FILE"
    )


def _spans(intervals: dict[str, Any]) -> dict[str, Any]:
    """Return the intervals as JSON takes them, each with what resampling added to its number."""
    keys = ("estimate", "low", "high", "bias")
    found = {name: {k: getattr(each, k) for k in keys} for name, each in intervals.items()}
    return {"intervals": found}


def _null_for_nan(value: Any) -> Any:
    """Replace what does not exist, such as the direction of no gap, by None: JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _null_for_nan(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_null_for_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
