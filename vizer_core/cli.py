"""The command `vizer`: thin wrappers that read files, call the package, and write files.

Exit status: 0 done, 1 failed (the message says why), 2 wrong use of the command line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The modality gap, text-only captioning and zero-label caption training.",
)


@app.callback()
def main(
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say more, and show tracebacks.")
    ] = False,
) -> None:
    """Set up logging to stderr; stdout is for results."""
    logging.basicConfig(
        format="%(levelname)s: %(message)s", level=logging.INFO if verbose else logging.WARNING
    )


@contextmanager
def errors_as_exit_status() -> Iterator[None]:
    """Turn the package's own errors into one line on stderr and exit status 1."""
    try:
        yield
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if logging.getLogger().isEnabledFor(logging.INFO):
            raise
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(1) from error


# --- vizer evaluate, vizer compare ---------------------------------------------------------------

Captions = Annotated[
    Path, typer.Option(help='COCO results: [{"image_id": 7, "caption": "a cat"}, ...]')
]
ReferenceFile = Annotated[
    Path,
    typer.Option(
        "--references",
        help='COCO annotations: {"annotations": [{"image_id": 7, "caption": "a cat"}, ...]}',
    ),
]
JsonOut = Annotated[Path | None, typer.Option("--json", help="Also write the result here.")]
Metrics = Annotated[
    str,
    typer.Option(
        help="'auto' (BLEU, ROUGE-L, CIDEr, length; METEOR where Java is), or names with commas: "
        "bleu, rouge_l, cider, length, meteor, spice, scene_graph_f1."
    ),
]
Missing = Annotated[
    str, typer.Option(help="Images without a caption: 'error', 'empty' (scores 0) or 'skip'.")
]
TokenizerName = Annotated[
    str, typer.Option("--tokenizer", help="'ptb' (Python) or 'ptb-java' (CoreNLP, needs Java).")
]
DfName = Annotated[
    str,
    typer.Option(
        "--df",
        help="CIDEr's document frequencies: 'references', or 'coco-val2014' (for small sets).",
    ),
]
Resamples = Annotated[int, typer.Option(min=1, help="Bootstrap resamples of the images.")]
Seed = Annotated[int, typer.Option(help="Seed of the resamples.")]


def _choice(option: str, given: str, choices: tuple[str, ...]) -> str:
    if given not in choices:
        raise typer.BadParameter(f"{option} {given!r}: choose from {', '.join(choices)}")
    return given


def _evaluations(
    captions: list[Path], references: Path, metrics: str, settings: dict[str, str], draws: dict
) -> list:
    """Score each captions file against one set of references, tokenised once."""
    from vizer_core.data.coco import coco2014, read_annotations, read_results
    from vizer_core.evaluate import PTB, PTB_JAVA, Inputs, evaluate, make_references
    from vizer_core.metrics.cider import document_frequency

    tokenizer = {"ptb": PTB, "ptb-java": PTB_JAVA}[settings["tokenizer"]]
    systems = [read_results(path) for path in captions]
    shared = make_references(read_annotations(references), tokenizer=tokenizer)
    df = None
    if settings["df"] == "coco-val2014":
        corpus = [tokenizer.tokenize(list(record.captions)) for record in coco2014("val")]
        df = document_frequency("coco-val2014", corpus)
    names = metrics if metrics == "auto" else [name.strip() for name in metrics.split(",")]
    return [
        evaluate(
            system,
            shared,
            metrics=names,
            inputs=Inputs(df=df),
            missing_captions=settings["missing"],
            **draws,
        )
        for system in systems
    ]


def _settings(missing: str, tokenizer: str, df: str) -> dict[str, str]:
    return {
        "missing": _choice("--missing", missing, ("error", "empty", "skip")),
        "tokenizer": _choice("--tokenizer", tokenizer, ("ptb", "ptb-java")),
        "df": _choice("--df", df, ("references", "coco-val2014")),
    }


@app.command(name="evaluate")
def evaluate_command(
    captions: Captions,
    references: ReferenceFile,
    json_out: JsonOut = None,
    metrics: Metrics = "auto",
    missing: Missing = "error",
    tokenizer: TokenizerName = "ptb",
    df: DfName = "references",
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> None:
    """Score captions against references, each metric with a 95% interval over images.

    Needs nothing but the two files; METEOR also Java (pip install "vizer-core[java]"). Costs some
    seconds for 5,000 images, and some ten more for METEOR. Prints a table; --json writes
    {"scores": {metric: {"mean", "low", "high", "n"}}, ...}, on the scale 0..1 (CIDEr 0..10).
    """
    settings, draws = _settings(missing, tokenizer, df), {"resamples": resamples, "seed": seed}
    with errors_as_exit_status():
        result = _evaluations([captions], references, metrics, settings, draws)[0]
        typer.echo(result.table())
        if json_out is not None:
            result.write(json_out)
    if result.failed:
        raise typer.Exit(1)


@app.command(name="compare")
def compare_command(
    captions: Captions,
    against: Annotated[Path, typer.Option(help="The other system's captions, as COCO results.")],
    references: ReferenceFile,
    json_out: JsonOut = None,
    metrics: Metrics = "auto",
    missing: Missing = "error",
    tokenizer: TokenizerName = "ptb",
    df: DfName = "references",
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> None:
    """Test one system against another on the same images.

    Prints, for each metric, the difference (captions minus against), its paired 95% bootstrap
    interval, the p-value of a paired permutation test, and that p-value adjusted for the number of
    metrics (Holm). Needs and costs what two runs of `vizer evaluate` do.
    """
    settings, draws = _settings(missing, tokenizer, df), {"resamples": resamples, "seed": seed}
    with errors_as_exit_status():
        from vizer_core.evaluate import compare
        from vizer_core.store import write_json

        first, second = _evaluations([captions, against], references, metrics, settings, draws)
        result = compare(first, second, **draws)
        typer.echo(result.table())
        if json_out is not None:
            write_json(json_out, result.as_dict())
    if first.failed or second.failed:
        raise typer.Exit(1)


# --- vizer gap -----------------------------------------------------------------------------------


def _clip_encoder(model: str, pretrained: str | None, device: str, quick_gelu: bool) -> Any:
    """Make the encoder that --model and --pretrained name."""
    from vizer_core.runtime import pick_device

    place = pick_device(device)
    if model == "micro":
        from vizer_core.micro import load_micro_clip

        return load_micro_clip(pretrained or "micro-clip-100", str(place))
    from vizer_core.clip import OpenClipEncoder

    is_file = Path(pretrained).suffix in {".safetensors", ".pt", ".pth", ".bin"}
    if is_file or Path(pretrained).is_file():
        return OpenClipEncoder.from_checkpoint(
            model, Path(pretrained), quick_gelu=quick_gelu, device=place
        )
    return OpenClipEncoder.from_pretrained(model, pretrained, device=place)


@app.command(name="gap")
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
        str, typer.Option(help="open_clip's name of the model, such as ViT-B-32, or 'micro'.")
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
    if images is not None and model != "micro" and pretrained is None:
        raise typer.BadParameter(f"--model {model} wants --pretrained TAG or a file of weights")
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
            encoder = _clip_encoder(model, pretrained, device, quick_gelu)
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
        typer.echo(gap_table(report, intervals))
        if json_out is not None:
            spans = {name: interval.to_dict() for name, interval in intervals.items()}
            write_json(json_out, report.to_dict() | {"intervals": spans})


# --- vizer lab -----------------------------------------------------------------------------------


@app.command(name="lab")
def lab_command(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Train the models again from nothing.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="One model; may be given several times.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the weights; default: the package's own.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; only for --rebuild.")] = "auto",
) -> None:
    """Check the micro world and its shipped models, or train them again.

    A check draws 1,000 scenes and scores each model in seconds: it fails when a score is not the
    one in the model's manifest. --rebuild says its cost first; it can be stopped and started again.
    """
    with errors_as_exit_status():
        from vizer_core.micro import lab
        from vizer_core.runtime import pick_device

        folder, names = out or lab.WEIGHTS, only or list(lab.RECIPES)
        for name in names:
            lab.weights_path(name)  # an unknown name stops here, before any work
        if rebuild:
            place = str(pick_device(device))
            typer.echo(lab.build_cost(names), err=True)
            for name in names:
                lab.build_micro_clip_weights(name, folder=folder, device=place, progress=True)
        for name, scores in lab.check_lab(names, folder).items():
            shown = "  ".join(f"{key} {value:.3f}" for key, value in scores.items())
            typer.echo(f"{name:<16} {shown}")
