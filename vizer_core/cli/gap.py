"""`vizer gap`: the modality gap of saved features, or of a folder of images with captions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from vizer_core.cli.app import JsonOut, Seed, app, errors_as_exit_status, keep_inputs
from vizer_core.cli.encoders import clip_encoder


@app.command(name="gap", short_help="Report the modality gap of a CLIP or of features.")
def gap_command(
    features: Annotated[
        Path | None,
        typer.Option(
            help=".npy or .safetensors: [2, n, d], unit-norm images and then their texts."
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="A folder of images; wants --captions.")
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="JSON, JSON lines or COCO annotations that name the images.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="open_clip's name, such as ViT-B-32, its folder, or 'micro'.")
    ] = "micro",
    pretrained: Annotated[
        str | None, typer.Option(help="A tag, such as openai, or a .safetensors or .pt file.")
    ] = None,
    quick_gelu: Annotated[
        bool, typer.Option("--quick-gelu", help="For a file that descends from OpenAI's weights.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json_out: JsonOut = None,
    resamples: Annotated[int, typer.Option(min=40, help="Bootstrap resamples of pairs.")] = 1000,
    seed: Seed = 0,
) -> None:
    """Report the modality gap of saved features, or of a folder of images with captions.

    Give --features, or --images with --captions and a model; of several captions the first one
    counts. Saved features cost about a second for 5,000 pairs; a folder costs one pass of the
    model, and published weights come from the local cache or the hub. Prints a table; --json writes
    every number, with 95% intervals under "intervals".
    """
    if (features is None) == (images is None):
        raise typer.BadParameter("give either --features FILE or --images FOLDER --captions FILE")
    if images is not None and captions is None:
        raise typer.BadParameter("--images wants --captions FILE: a gap is measured on pairs")
    named = model != "micro" and not Path(model).is_dir()
    if images is not None and named and pretrained is None:
        raise typer.BadParameter(f"--model {model} wants --pretrained TAG or a file of weights")
    keep_inputs(json_out, "--json", features, captions, pretrained)
    with errors_as_exit_status():
        from vizer_core.gap import bootstrap_gap, measure_gap
        from vizer_core.gap.feature_file import read_folder_pairs, read_pairs
        from vizer_core.gap.interval import MIN_PAIRS
        from vizer_core.gap.report import gap_table
        from vizer_core.runtime import seeded
        from vizer_core.store import write_json

        if features is not None:
            pairs = read_pairs(features)
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
            )
        if json_out is not None:
            spans = {
                name: {"estimate": found.estimate, "low": found.low, "high": found.high}
                for name, found in intervals.items()
            }
            write_json(json_out, _null_for_nan(report.to_dict() | {"intervals": spans}))
        typer.echo(gap_table(report, intervals))


def _null_for_nan(value: Any) -> Any:
    """Replace what does not exist, such as the direction of no gap, by None: JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _null_for_nan(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_null_for_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
