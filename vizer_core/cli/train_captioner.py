"""`vizer train-captioner`: a captioner trained on text alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vizer_core.cli.app import (
    Device,
    Dtype,
    Overwrite,
    ReportTo,
    Seed,
    app,
    choice,
    errors_as_exit_status,
    is_quiet,
    keep_inputs,
    new_file,
    say,
)
from vizer_core.cli.captioner_options import (
    TRAININGS,
    Clip,
    Corpus,
    LanguageModel,
    Pretrained,
    QuickGelu,
    Sentences,
    StartToken,
)
from vizer_core.cli.captioner_runs import require_captions, show_captions
from vizer_core.cli.encoders import clip_encoder
from vizer_core.cli.models import DRAWN_LM, language_model_of


@app.command(name="train-captioner")
def train_captioner_command(
    out: Annotated[
        Path, typer.Option(callback=new_file, help="Where the captioner goes: a .safetensors file.")
    ],
    method: Annotated[
        str,
        typer.Option(
            help="maccap: a decoder, 32 prefix positions; capdec, decap (also baseline's): an MLP, "
            "one position, as in MacCap's tables; capdec_same_decoder, decap_same_decoder: with "
            "maccap's decoder, as the shipped ones."
        ),
    ] = "maccap",
    corpus: Corpus = "drawn-home",
    captions: Annotated[int, typer.Option(min=2, help="At most so many captions.")] = 20_000,
    references: Annotated[
        Path | None,
        typer.Option(
            help="Captions of the images that you will test on, as for vizer evaluate: a corpus "
            "that was made from them is refused."
        ),
    ] = None,
    clip: Clip = "drawn",
    pretrained: Pretrained = None,
    quick_gelu: QuickGelu = False,
    language_model: LanguageModel = DRAWN_LM,
    lm_start_token: StartToken = None,
    lm_sentences: Sentences = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the method's own.")] = None,
    variance: Annotated[
        float | None,
        typer.Option(min=0.0, help="Noise in each coordinate; 0: none. Default: the method's own."),
    ] = None,
    captions_at_once: Annotated[
        int | None,
        typer.Option(min=1, help="Less memory: split each batch into parts of this size."),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    report_to: ReportTo = None,
    overwrite: Overwrite = False,
) -> None:
    """Train a captioner on text alone: no image is read.

    CLIP encodes the corpus once; then a small network learns to generate each caption from its own
    noised feature through a frozen language model. On the drawn models it takes one or two minutes
    of a CPU core; at the paper's size hours of a GPU. At the end three captions are shown, from
    their own features. --dtype is the language model's: caption with the same one.

    A run saves itself every 200 steps and on Ctrl-C, in OUT.run beside --out; a stopped one goes on
    when called again with the same corpus, models, settings and seed, and with others it is
    refused. Under torchrun or accelerate launch each batch is shared out, and the result is that of
    one process; with an FSDP configuration each process has a part of the language model.
    """
    choice("--method", method, TRAININGS)
    keep_inputs(out, "--out", corpus, references, clip, pretrained, language_model)
    with errors_as_exit_status(clip, pretrained, language_model):
        from vizer_core.captioner_job import CaptionerJob
        from vizer_core.data.corpus import load_corpus, require_corpus
        from vizer_core.data.leakage import records_of_references, require_no_leakage
        from vizer_core.tracking import curves_of, report_run

        require_corpus(corpus)
        found = load_corpus(corpus, captions)
        texts = list(found.captions)
        if references is not None:
            say(require_no_leakage(found, records_of_references(references)).summary(), err=True)
        require_captions(texts, corpus)
        form = {"start_token": lm_start_token, "sentences": lm_sentences}
        job = CaptionerJob(
            method,
            texts,
            clip_encoder(clip, pretrained, device, quick_gelu),
            language_model_of(language_model, device, dtype, **form),
            seed=seed,
            epochs=epochs,
            variance=variance,
            captions_at_once=captions_at_once,
            noted={"corpus": corpus},
        )
        done = job.run(out, tell=say, progress=not is_quiet())
        show_captions(done.prefix_network, job.lm, done.pairs, job.settings[1].tokens)
        report_run(
            curves_of(done.history),
            report_to,
            run=out.stem,
            folder=out.parent / "logs",
            settings={"method": method, "corpus": corpus, "seed": seed},
        )
        say(f"{out}: loss {done.history.mean_loss():.3f} after {job.steps:,} steps")
