"""`vizer evaluate` and `vizer compare`: captions against references, one system or two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vizer_core.cli.app import (
    JsonOut,
    Resamples,
    Seed,
    app,
    choice,
    errors_as_exit_status,
    keep_inputs,
)

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
        "missing": choice("--missing", missing, ("error", "empty", "skip")),
        "tokenizer": choice("--tokenizer", tokenizer, ("ptb", "ptb-java")),
        "df": choice("--df", df, ("references", "coco-val2014")),
    }


@app.command(name="evaluate", short_help="Score captions against references.")
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
    keep_inputs(json_out, "--json", captions, references)
    with errors_as_exit_status():
        result = _evaluations([captions], references, metrics, settings, draws)[0]
        if json_out is not None:
            result.write(json_out)
        typer.echo(result.table())
    if result.failed:
        raise typer.Exit(1)


@app.command(name="compare", short_help="Test one system's captions against another's.")
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
    keep_inputs(json_out, "--json", captions, against, references)
    with errors_as_exit_status():
        from vizer_core.evaluate import compare
        from vizer_core.store import write_json

        first, second = _evaluations([captions, against], references, metrics, settings, draws)
        result = compare(first, second, **draws)
        if json_out is not None:
            write_json(json_out, result.as_dict())
        typer.echo(result.table())
    if first.failed or second.failed:
        raise typer.Exit(1)
