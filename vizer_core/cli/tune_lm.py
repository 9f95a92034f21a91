"""`vizer tune-lm`: a language model tuned on captions, for magic and zerocap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vizer_core.cli.app import (
    Device,
    Seed,
    app,
    errors_as_exit_status,
    is_quiet,
    keep_folders,
    new_adapter_folder,
    say,
)
from vizer_core.cli.captioner_options import Corpus, LanguageModel, Sentences, StartToken
from vizer_core.cli.models import language_model_of
from vizer_core.run_folder import JOB, RUN, STATE, working_on

READ_BEFORE = 200  # captions whose nats are told before and after


@app.command(name="tune-lm")
def tune_lm_command(
    out: Annotated[
        Path,
        typer.Option(
            callback=new_adapter_folder,
            help="Where the model goes: a folder, for --language-model.",
        ),
    ],
    language_model: LanguageModel = "smollm2-135m",
    lm_start_token: StartToken = None,
    lm_sentences: Sentences = None,
    corpus: Corpus = "coco2014-train",
    captions: Annotated[int, typer.Option(min=2, help="At most so many captions.")] = 20_000,
    steps: Annotated[int, typer.Option(min=1, help="Of training.")] = 300,
    batch_size: Annotated[int, typer.Option(min=1, help="Captions per step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="At the start; it falls to zero.")] = 1e-3,
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Tune a language model on captions, so that it writes captions and no other texts.

    magic and zerocap steer what the language model would write anyway: their papers tune it on
    captions first. This does so with LoRA and adds the result to the weights; --out has a whole
    model in the form of text that it was tuned on, for vizer caption --language-model. With
    SmolLM2-135M (make real) a step takes two seconds of a CPU core. A stopped run goes on when
    called again.
    """
    if not learning_rate > 0:
        raise typer.BadParameter(f"--learning-rate is {learning_rate}: wanted more than 0")
    keep_folders(out, language_model)
    record = out / RUN / JOB
    with errors_as_exit_status(language_model):
        from dataclasses import asdict
        from hashlib import sha256

        from vizer_core.data.corpus import load_corpus, require_corpus
        from vizer_core.language import nats_per_token
        from vizer_core.language.caption_tuning import CaptionTuning, save_tuned, tune_on_captions
        from vizer_core.runtime import seeded

        require_corpus(corpus)
        texts = list(load_corpus(corpus, captions).captions)
        form = {"start_token": lm_start_token, "sentences": lm_sentences}
        lm = language_model_of(language_model, device, **form)
        config, some = CaptionTuning(steps, batch_size, learning_rate), texts[:READ_BEFORE]
        metadata = {"corpus": corpus, "captions": len(texts), "seed": seed}
        metadata |= {"settings": asdict(config)}
        digest = sha256("\n".join(texts).encode()).hexdigest()[:12]
        job = {"language_model": lm.fingerprint, "texts": digest, **metadata}
        with working_on(record, job, of=str(out), tell=say):
            before = nats_per_token(lm, some, batch_size=50)
            tune_on_captions(
                lm,
                texts,
                config,
                generator=seeded(seed),
                checkpoint=record.with_name(STATE),
                progress=not is_quiet(),
            )
            after = nats_per_token(lm, some, batch_size=50)
            save_tuned(lm, out, metadata=metadata)
        say(f"{out}: {before:.2f} -> {after:.2f} nats per token of the first {len(some)} captions")
