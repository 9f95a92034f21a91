"""The modality gap, text-only captioning and zero-label caption training, as a package.

Map, from the ground up (a folder imports only what stands above it in this list):

- `shapes`, `runtime`, `store`, `decoding`, `hub`, `processes`: axis names, device and profile,
  files that survive, how the next word is chosen, what is wrong with a checkpoint, shares of a job
- `data`, `metrics`, `tracking`: facts about the world, no neural nets; a run for a tracker
- `sharding`: a frozen model cut over several processes
- `clip`, `language`, `vlm`: the three frozen things, each behind a protocol
- `micro`, `gap`, `textonly`, `costs`: the offline world of emoji scenes and its models; the
  modality-gap analysis; training a captioner on text alone; what a plan costs, estimated
- `captioners`, `vizer`: MacCap and its baselines; ViZer's mapper and zero-label training
- `vqa`, `evaluate`, `figures`: answers from captions; scores with intervals; the book's figures
- `cli`: the command `vizer`
"""


def __getattr__(name: str) -> str:
    """Look up `__version__` in the installed package's metadata, when it is asked for."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vizer-core")
    except PackageNotFoundError as error:
        raise ImportError(
            "vizer_core has no version: it is read from the installed package, and none is "
            'installed; from the checkout: pip install -e "."'
        ) from error
