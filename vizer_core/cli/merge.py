"""`vizer merge`: an adapter added to its model's weights, as one checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vizer_core.cli.app import (
    Device,
    Dtype,
    app,
    errors_as_exit_status,
    keep_folders,
    new_adapter_folder,
    say,
)
from vizer_core.cli.models import vlm_of
from vizer_core.shipped import shipped_names


def hub_name(name: str | None) -> str | None:
    """Return a repository's name, or end with status 2 before any work is done."""
    if name is not None and name.count("/") != 1:
        raise typer.BadParameter(f"--push-to-hub {name}: wanted OWNER/NAME")
    return name


PushToHub = Annotated[
    str | None,
    typer.Option(
        "--push-to-hub",
        callback=hub_name,
        help="Also send the folder to this repository of the hub, OWNER/NAME, private where it is "
        "new. Wants a login: hf auth login, or HF_TOKEN.",
    ),
]


@app.command(name="merge", short_help="Add an adapter to its model's weights.")
def merge_command(
    adapter: Annotated[str, typer.Argument(help="A folder from vizer enhance or improve.")],
    model: Annotated[str, typer.Option(help="The model that it was trained on: hub id or folder.")],
    out: Annotated[
        Path, typer.Option(callback=new_adapter_folder, help="Folder for the whole checkpoint.")
    ],
    push_to_hub: PushToHub = None,
    device: Device = "cpu",
    dtype: Dtype = "auto",
) -> None:
    """Write a checkpoint of a model with an adapter in its weights: no peft is needed to load it.

    The adapter has to fit the model, in the same precision. In half precision its weights are
    rounded to the model's, so that single captions may differ from those of model and adapter.
    """
    shipped = model in shipped_names("vlm")
    keep_folders(out, *([] if shipped else [model]), *([adapter] if Path(adapter).is_dir() else []))
    with errors_as_exit_status(model, adapter, goes_on=False):
        from vizer_core.models import adapter_of, require_dtype
        from vizer_core.vizer import load_adapter
        from vizer_core.vizer.merging import save_merged
        from vizer_core.vlm.loading import reading_words

        folder = adapter_of(adapter)
        vlm = vlm_of(model, device, dtype)
        require_dtype(folder, vlm)
        reading = load_adapter(vlm, folder).get("reading", {})
        save_merged(vlm, out, adapter=folder.name, reading=reading)
        say(f"wrote {out}")
        if reading:
            say(f"it was trained with{reading_words(reading)}: caption with the same", err=True)
        push(out, push_to_hub)


def push(folder: Path, repository: str | None) -> None:
    """Send a folder to the hub where that was asked for; of several processes the first does."""
    from vizer_core.distributed import is_main_process

    if repository is not None and is_main_process():
        from vizer_core.vizer.merging import push_folder

        say(f"sent to {push_folder(folder, repository)}")
