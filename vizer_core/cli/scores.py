"""`vizer evaluate` and `vizer compare`: captions against references, one system or two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vizer_core.cli.app import (
    Device,
    JsonOut,
    Overwrite,
    Resamples,
    Seed,
    app,
    choice,
    errors_as_exit_status,
    keep_inputs,
    say,
    show_and_write,
)
from vizer_core.cli.captioner_options import Pretrained, QuickGelu
from vizer_core.cli.score_inputs import (
    ClipChoice,
    Images,
    MetricFunctions,
    Prefix,
    ScoringClip,
    metric_files,
    own_metrics,
)

ALL = 10**12  # captions of a corpus: as many as there are
Captions = Annotated[
    Path,
    typer.Option(
        help='COCO results: [{"image_id": 7, "caption": "a cat"}, ...], as vizer caption --json '
        "writes them, by number or file name."
    ),
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
        "bleu, rouge_l, cider, length, meteor, spice, scene_graph_f1; with --images also "
        "clipscore, refclipscore, self_retrieval, which 'auto' then computes too."
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


TrainedOn = Annotated[
    str | None,
    typer.Option(
        "--corpus",
        help="What the captioner was trained on, as for vizer train-captioner: says how much of "
        "the references stands in it.",
    ),
]


def _say_leakage(corpus: str, references: Path) -> None:
    """Tell on stderr what a corpus shares with the references, and whether that is too much."""
    from vizer_core.data.corpus import load_corpus
    from vizer_core.data.leakage import check_leakage, records_of_references

    report = check_leakage(load_corpus(corpus, ALL), records_of_references(references))
    say(("warning: " if report.leaks else "") + report.summary(), err=True)


def _evaluations(
    captions: list[Path], references: Path, metrics: str, settings: dict[str, Any], draws: dict
) -> list:
    """Score each captions file against one set of references, tokenised once."""
    from vizer_core.data.coco import (
        coco2014,
        read_annotations,
        read_file_names,
        read_results_for,
    )
    from vizer_core.evaluation import PTB, PTB_JAVA, Inputs, evaluate, make_references
    from vizer_core.metrics.cider import document_frequency
    from vizer_core.metrics.references import match

    tokenizer = {"ptb": PTB, "ptb-java": PTB_JAVA}[settings["tokenizer"]]
    systems = [read_results_for(path, references) for path in captions]
    shared = make_references(read_annotations(references), tokenizer=tokenizer)
    df = None
    if settings["df"] == "coco-val2014":
        corpus = [tokenizer.tokenize(list(record.captions)) for record in coco2014("val")]
        df = document_frequency("coco-val2014", corpus)
    names = metrics if metrics == "auto" else [name.strip() for name in metrics.split(",")]
    missing, plain = settings["missing"], Inputs(df=df, functions=settings["functions"])
    results = []
    for system in systems:
        inputs = plain
        if settings["clip"].images is not None:
            matched = match(system, shared, missing=missing)
            inputs = settings["clip"].add_features(plain, matched, read_file_names(references))
        results.append(
            evaluate(
                system, shared, metrics=names, inputs=inputs, missing_captions=missing, **draws
            )
        )
    return results


def _settings(missing: str, tokenizer: str, df: str, metrics: str, **more: Any) -> dict[str, Any]:
    functions = own_metrics(more.pop("functions"))
    clip = ClipChoice(**more)
    clip.check(metrics)
    return {
        "functions": functions,
        "clip": clip,
        "missing": choice("--missing", missing, ("error", "empty", "skip")),
        "tokenizer": choice("--tokenizer", tokenizer, ("ptb", "ptb-java")),
        "df": choice("--df", df, ("references", "coco-val2014")),
    }


def _folder(images: Path | None) -> list[Path]:
    return [] if images is None else [images]


@app.command(name="evaluate", short_help="Score captions against references.")
def evaluate_command(
    captions: Captions,
    references: ReferenceFile,
    json_out: JsonOut = None,
    overwrite: Overwrite = False,
    metrics: Metrics = "auto",
    missing: Missing = "error",
    tokenizer: TokenizerName = "ptb",
    df: DfName = "references",
    images: Images = None,
    clip: ScoringClip = None,
    pretrained: Pretrained = None,
    quick_gelu: QuickGelu = False,
    clip_prefix: Prefix = None,
    device: Device = "auto",
    metric_function: MetricFunctions = None,
    corpus: TrainedOn = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> None:
    """Score captions against references, each metric with a 95% interval over images.

    Needs nothing but the two files; METEOR also Java (pip install "vizer-core[java]"), CLIPScore
    the images and a CLIP. Costs some seconds for 5,000 images, some ten more for METEOR, and with
    --images one pass of the CLIP. Prints a table; --json writes
    {"scores": {metric: {"mean", "low", "high", "n"}}, ...}, on the scale 0..1 (CIDEr 0..10,
    CLIPScore 0..2.5, length in words).
    """
    settings = _settings(
        *(missing, tokenizer, df, metrics),
        **{"images": images, "clip": clip, "pretrained": pretrained, "quick_gelu": quick_gelu},
        **{"prefix": clip_prefix, "device": device, "functions": metric_function},
    )
    draws = {"resamples": resamples, "seed": seed}
    read = (captions, references, *settings["clip"].files())
    keep_inputs(
        json_out, "--json", *read, corpus, *metric_files(metric_function), images=_folder(images)
    )
    with errors_as_exit_status(*read, goes_on=False):
        if corpus is not None:
            from vizer_core.data.corpus import require_corpus

            require_corpus(corpus)
        result = _evaluations([captions], references, metrics, settings, draws)[0]
        if corpus is not None:
            _say_leakage(corpus, references)
        show_and_write(result.table(), json_out, result.as_dict())
    if result.failed:
        raise typer.Exit(1)


@app.command(name="compare", short_help="Test one system's captions against another's.")
def compare_command(
    captions: Captions,
    against: Annotated[Path, typer.Option(help="The other system's captions, as COCO results.")],
    references: ReferenceFile,
    json_out: JsonOut = None,
    overwrite: Overwrite = False,
    metrics: Metrics = "auto",
    missing: Missing = "error",
    tokenizer: TokenizerName = "ptb",
    df: DfName = "references",
    images: Images = None,
    clip: ScoringClip = None,
    pretrained: Pretrained = None,
    quick_gelu: QuickGelu = False,
    clip_prefix: Prefix = None,
    device: Device = "auto",
    metric_function: MetricFunctions = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> None:
    """Test one system against another on the same images.

    Prints, for each metric, the difference (captions minus against), its paired 95% bootstrap
    interval, the p-value of a paired permutation test, and that p-value adjusted for the number of
    metrics (Holm). Needs and costs what two runs of `vizer evaluate` do.
    """
    settings = _settings(
        *(missing, tokenizer, df, metrics),
        **{"images": images, "clip": clip, "pretrained": pretrained, "quick_gelu": quick_gelu},
        **{"prefix": clip_prefix, "device": device, "functions": metric_function},
    )
    draws = {"resamples": resamples, "seed": seed}
    read = (captions, against, references, *settings["clip"].files())
    keep_inputs(json_out, "--json", *read, *metric_files(metric_function), images=_folder(images))
    with errors_as_exit_status(*read, goes_on=False):
        from vizer_core.evaluation import compare

        first, second = _evaluations([captions, against], references, metrics, settings, draws)
        result = compare(first, second, **draws)
        show_and_write(result.table(), json_out, result.as_dict())
    if first.failed or second.failed:
        raise typer.Exit(1)
