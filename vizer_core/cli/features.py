"""`vizer features`: what a CLIP says of images, and of their captions, kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vizer_core.cli.app import (
    Device,
    Overwrite,
    app,
    errors_as_exit_status,
    is_quiet,
    keep_apart,
    keep_inputs,
    new_file,
    say,
)
from vizer_core.cli.caption_lines import as_text
from vizer_core.cli.captioner_options import Pretrained, QuickGelu
from vizer_core.cli.encoders import clip_encoder
from vizer_core.cli.models import PACKED, folder_of, require_there
from vizer_core.run_folder import digest_of_files, require_ours, working_on

ASKED = "asked.json"  # what a job that is not finished works on


@app.command(name="features", short_help="Save a CLIP's features of images and captions.")
def features_command(
    images: Annotated[
        Path, typer.Argument(callback=folder_of, help=f"A folder of images; {PACKED}.")
    ],
    out: Annotated[
        Path,
        typer.Option(callback=new_file, help="Where the features go: a .safetensors file."),
    ],
    captions: Annotated[
        Path | None,
        typer.Option(
            help="JSON, JSON lines, COCO captions or CC3M's list: then only images that they name. "
            "A data set of the hub brings its own."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="open_clip's name, such as ViT-B-32, its folder, or 'drawn'.")
    ] = "drawn",
    pretrained: Pretrained = None,
    quick_gelu: QuickGelu = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in one pass.")] = 64,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Save the CLIP features of a folder of images and, where given, of all their captions.

    The file has image_features [m, d], text_features [n, d], both of unit norm, and image_index
    [n], the row of each text's image; its manifest, the .json beside it, names the images in order,
    and the model. vizer gap --features reads it, with the first caption of each image. An image
    that cannot be read is named and left out.

    Every 1,024 images are kept in OUT.shards beside --out until the file is whole: a stopped
    command goes on from there when called again with the same images, captions and model. Under
    torchrun or accelerate launch the images are shared out.
    """
    _require_safetensors(out)
    keep_inputs(out, "--out", captions, model, pretrained, images=[images])
    with errors_as_exit_status(model, pretrained):
        from dataclasses import replace

        from vizer_core.clip import ExtractConfig, encode_records, load_features
        from vizer_core.data import read_folder
        from vizer_core.data.packed import captions_of
        from vizer_core.distributed import is_main_process, start_processes
        from vizer_core.runtime import pick_device

        require_there(images)
        folder = out.with_name(f"{out.name}.shards")
        keep_apart(images, folder)
        require_ours(folder / ASKED)
        records = read_folder(images, captions or captions_of(images))
        start_processes(pick_device(device))
        encoder = clip_encoder(model, pretrained, device, quick_gelu)
        names = [record.id for record in records]
        asked = {"images": digest_of_files(images, names), "model": encoder.fingerprint}
        with working_on(folder / ASKED, asked, of=str(folder), tell=say):
            records = [replace(record, id=as_text(record.id)) for record in records]
            done = encode_records(
                records,
                encoder,
                out_dir=folder,
                config=ExtractConfig(batch_size=batch_size),
                progress=is_main_process() and not is_quiet(),
            )
            if is_main_process():
                found = load_features(folder)
                found.save(out, _metadata(encoder, done))
        left_out = f", {len(done.skipped)} left out" if done.skipped else ""
        say(f"{out}: {done.images} images{left_out}, {done.texts} texts, d = {encoder.embed_dim}")


def _require_safetensors(out: Path) -> None:
    """End with status 2 if the file's name is not one that `vizer gap` reads."""
    if out.suffix != ".safetensors":
        raise typer.BadParameter(f"--out {out}: end its name in .safetensors")


def _metadata(encoder: Any, done: Any) -> dict[str, Any]:
    """Return what the manifest says of the model and of the images that could not be read."""
    return {
        "model": {"name": encoder.name, "fingerprint": encoder.fingerprint},
        "skipped": [{"id": one.id, "reason": one.reason} for one in done.skipped],
    }
