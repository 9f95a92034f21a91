"""`vizer caption`: captions from a zero-shot method, or from a vision-language model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vizer_core.captioners.registry import METHODS, NoTrainedPartError, Parts, captioner_of
from vizer_core.cli.app import (
    Device,
    Dtype,
    JsonOut,
    Overwrite,
    Seed,
    app,
    choice,
    errors_as_exit_status,
    keep_inputs,
)
from vizer_core.cli.caption_lines import (
    KeptLines,
    Printer,
    as_text,
    generate_in_batches,
    lines_of,
    require_own_lines,
)
from vizer_core.cli.caption_vlm import Looks, VlmCaptions
from vizer_core.cli.captioner_options import (
    CaptionerFile,
    Clip,
    Corpus,
    FormerName,
    LanguageModel,
    Pretrained,
    QuickGelu,
    Sentences,
    StartToken,
    captioner_file,
    require_captioner,
    with_command,
)
from vizer_core.cli.decoding_options import (
    DECODER_NAMES,
    BatchSize,
    Beams,
    MaxTokens,
    Prompt,
    Temperature,
    require_decoder,
    style_of,
)
from vizer_core.cli.encoders import clip_encoder
from vizer_core.cli.ignored import given_options, refuse_unused
from vizer_core.cli.models import (
    DRAWN_LM,
    PACKED,
    folder_of,
    image_files,
    language_model_of,
    read_images,
)
from vizer_core.cli.reading_options import (
    Compile,
    FourBit,
    ImageSplitting,
    MaxPixels,
    reading_of,
)

if TYPE_CHECKING:
    from vizer_core.decoding import Style

BATCH = 64  # images in one pass of a process
GenerateCaptions = Callable[
    [list[int], Any], list[str]
]  # indices of images, what draws -> captions


def _zero_shot_captioner(
    images: Any, method: str, options: dict[str, Any], style: Style, *, device: str, dtype: str
) -> tuple[GenerateCaptions, dict[str, Any]]:
    """Load the models of a zero-shot method; also say what was loaded."""
    from vizer_core.captioners import caption_images
    from vizer_core.data.corpus import load_corpus, require_corpus
    from vizer_core.files import files_digest
    from vizer_core.models import dtype_of, is_shipped

    clip, language_model, captioner = (
        options[name] for name in ("clip", "language_model", "captioner")
    )
    require_corpus(options["corpus"])
    row = METHODS[method]
    if row.trainings:
        require_captioner(method, captioner, models=(clip, language_model))
    encoder = clip_encoder(clip, options["pretrained"], device, options["quick_gelu"])
    form = {"start_token": options["lm_start_token"], "sentences": options["lm_sentences"]}
    lm = language_model_of(language_model, device, dtype, **form) if row.language_model else None
    memory: tuple[str, ...] = ()
    if row.memory:
        memory = load_corpus(options["corpus"], options["memory"]).captions
    parts = Parts(captioner, memory, small=is_shipped(encoder), seed=options["seed"])
    try:
        captioned = captioner_of(method, encoder, lm, parts, style)
    except NoTrainedPartError as error:  # in the words of the command line
        raise ValueError(
            f"{error.lack}. Train one {with_command(error.training)}, and give --captioner FILE"
        ) from error
    job = {"method": method, "clip": encoder.fingerprint}
    if lm is not None:
        job |= {"language_model": lm.fingerprint, "dtype": dtype_of(lm)}
    if captioner is not None:
        job["captioner"] = files_digest({"captioner": captioner})
    if row.memory:
        corpus = Path(options["corpus"])
        job["corpus"] = files_digest({"corpus": corpus}) if corpus.is_file() else str(corpus)
        job["memory"] = options["memory"]

    def generate(indices: list[int], generator: Any) -> list[str]:
        batch = [images[i] for i in indices]
        return caption_images(captioned, encoder, batch, batch_size=len(batch), generator=generator)

    return generate, job


@app.command(name="caption", short_help="Caption images: zero-shot, or with a VLM.")
def caption_command(
    images: Annotated[
        list[Path],
        typer.Argument(callback=folder_of, help=f"Images, and folders of images; {PACKED}."),
    ],
    method: Annotated[
        str | None,
        typer.Option(
            help="A zero-shot captioner. "
            + "; ".join(f"{name}: {row.says}" for name, row in METHODS.items())
            + "."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Or a vision-language model: hub id, folder, or shipped (vizer lab --list)."
        ),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            help="LoRA for --model: a folder from vizer enhance, or a shipped one: "
            "drawn-vlm-web-information."
        ),
    ] = None,
    captioner: CaptionerFile = None,
    adaptor: FormerName = None,
    clip: Clip = "drawn",
    pretrained: Pretrained = None,
    quick_gelu: QuickGelu = False,
    language_model: LanguageModel = DRAWN_LM,
    lm_start_token: StartToken = None,
    lm_sentences: Sentences = None,
    corpus: Corpus = "drawn-home",
    memory: Annotated[int, typer.Option(min=1, help="Captions in the memory.")] = 20_000,
    prompt: Prompt = None,
    max_tokens: MaxTokens = None,
    beams: Beams = None,
    temperature: Temperature = None,
    views: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=9,
            help="Of --model: average so many views of each image, moved by less "
            "than a patch; 5 is tried.",
        ),
    ] = None,
    first_word: Annotated[
        list[str] | None,
        typer.Option(help="Of --model: captions begin with this word, or one of these."),
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(
            help=f"Of --model: how words or captions are chosen: {', '.join(DECODER_NAMES)}."
        ),
    ] = None,
    image_splitting: ImageSplitting = None,
    max_pixels: MaxPixels = None,
    four_bit: FourBit = None,
    compile: Compile = False,
    batch_size: BatchSize = BATCH,
    json_out: JsonOut = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
) -> None:
    """Caption images with a zero-shot method, or with a vision-language model and its adapter.

    Prints a line per image as soon as it is generated; --json writes COCO results with file names
    as ids, and until they are complete keeps them in NAME.jsonl: a stopped command goes on from
    there when called again. A file that is no whole image, or that the model cannot take, is named
    and left out. On the drawn models nothing has to be trained, and it takes some seconds;
    otherwise the models come from the local cache or the hub, and methods that are trained want
    --captioner.
    The memory of decap, concepts, clipre and socratic contains captions of --corpus.

    A captioner file wants the --clip, --pretrained and --language-model that it was trained with,
    and the same --lm-start-token and --lm-sentences.
    """
    if (method is None) == (model is None):
        raise typer.BadParameter("give either --method NAME or --model NAME")
    if method is not None:
        choice("--method", method, tuple(METHODS))
    captioner = captioner_file(captioner, adaptor)
    options = {
        "adapter": adapter,
        "captioner": captioner,
        "clip": clip,
        "pretrained": pretrained,
        "quick_gelu": quick_gelu,
        "language_model": language_model,
        "lm_start_token": lm_start_token,
        "lm_sentences": lm_sentences,
        "corpus": corpus,
        "memory": memory,
    }
    style = style_of(prompt, max_tokens, beams, temperature)
    refuse_unused(method, given_options())
    require_decoder(decoder, beams, temperature, first_word)
    reading = reading_of(image_splitting, max_pixels, four_bit)
    looks = Looks(views or 1, tuple(first_word or ()), decoder or "", reading, compile)
    looks.require(beams)
    models = (pretrained, captioner, adapter, *((clip, language_model) if method else (model,)))
    keep_inputs(json_out, "--json", corpus, *models, images=images)
    with errors_as_exit_status(*models):
        from vizer_core.distributed import process_rank
        from vizer_core.files import files_digest

        if json_out is not None:
            require_own_lines(*lines_of(json_out))
        files, (names, opened) = image_files(images), read_images(*images)
        load = {"device": device, "dtype": dtype}
        if model is not None:
            batch_size *= process_rank()[1]  # a batch is shared out
            generate = VlmCaptions(opened, model, adapter, style, looks, at_once=batch_size, **load)
            job, reading_ahead = generate.job, closing(generate)
        else:
            reading_ahead = nullcontext()
            options |= {"seed": seed}
            generate, job = _zero_shot_captioner(opened, method, options, style, **load)
        job |= {"images": files_digest({name: files[name] for name in names})} | style.given()
        with reading_ahead:
            _generate(names, generate, job, at_once=batch_size, seed=seed, json_out=json_out)


def _generate(
    names: list[str],
    generate: GenerateCaptions,
    job: dict[str, Any],
    *,
    at_once: int,
    seed: int,
    json_out: Path | None,
) -> None:
    """Caption batch by batch, print, and write the file, whatever becomes of the lines."""
    from vizer_core.data.coco import write_results
    from vizer_core.distributed import is_main_process
    from vizer_core.runtime import seeded

    job |= {"at_once": at_once, "seed": seed}
    generator, printer = seeded(seed), Printer(goes_on=json_out is not None)
    kept = None if json_out is None else KeptLines(json_out)
    try:
        texts = generate_in_batches(
            names,
            lambda indices: generate(indices, generator),
            generator,
            batch_size=at_once,
            printer=printer,
            kept=kept,
            job=job,
        )
        if kept is not None and json_out is not None:
            if is_main_process():
                write_results(json_out, {as_text(name): text for name, text in texts.items()})
            kept.finish()
    finally:
        if kept is not None:
            kept.close()
    printer.finish()
