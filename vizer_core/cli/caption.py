"""`vizer train-captioner` and `vizer caption`: captions from text-only training, or from a VLM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vizer_core.cli.app import (
    Device,
    Dtype,
    JsonOut,
    ReportTo,
    Seed,
    app,
    choice,
    errors_as_exit_status,
    keep_inputs,
    new_file,
    say,
)
from vizer_core.cli.encoders import clip_encoder
from vizer_core.cli.ignored import METHODS, TRAINED, refuse_unused
from vizer_core.cli.models import (
    MICRO_LM,
    adapter_of,
    language_model_of,
    read_pictures,
    require_dtype,
    vlm_of,
)

MICRO_CORPORA = ("micro-home", "micro-away")
TRAININGS = ("maccap", "capdec", "decap")
TRAINING_OF = {name: name for name in TRAININGS} | {"maccap_pass": "maccap", "baseline": "decap"}

Clip = Annotated[
    str, typer.Option("--clip", help="open_clip's name of a CLIP, its folder, or 'micro'.")
]
Pretrained = Annotated[
    str | None, typer.Option(help="A tag, such as openai, or a .safetensors or .pt file.")
]
QuickGelu = Annotated[
    bool, typer.Option("--quick-gelu", help="For a file that descends from OpenAI's weights.")
]
LanguageModel = Annotated[str, typer.Option(help="A causal LM: hub id, folder, or 'micro-lm'.")]
Corpus = Annotated[
    str,
    typer.Option(help="Captions, one a line, or a JSON list; 'micro-home' or 'micro-away'."),
]


def corpus_of(name: str, limit: int) -> Any:
    """Read a corpus of captions, at most `limit` of them."""
    from vizer_core.data.corpus import read_corpus
    from vizer_core.micro.corpora import micro_corpus
    from vizer_core.runtime import seeded

    if name in MICRO_CORPORA:
        return micro_corpus(name.removeprefix("micro-"), limit)
    corpus = read_corpus(Path(name)).deduplicate()
    return corpus if len(corpus) <= limit else corpus.sample(limit, generator=seeded(0))


def _require_corpus(name: str) -> None:
    """Raise `FileNotFoundError` if there is no such corpus, before a model is loaded."""
    if name not in MICRO_CORPORA and not Path(name).is_file():
        raise FileNotFoundError(
            f"no corpus at {name}: wanted a file of captions, or {' or '.join(MICRO_CORPORA)}"
        )


def _settings(method: str, micro: bool, encoder: Any, lm: Any) -> tuple[Any, Any]:
    """Return the adaptor's sizes and the training settings of a method, at micro or paper size."""
    from vizer_core.textonly import AdaptorConfig
    from vizer_core.textonly import presets as t

    if micro:
        configs = {"maccap": t.MICRO_MACCAP, "capdec": t.MICRO_CAPDEC, "decap": t.MICRO_DECAP}
        return t.MICRO_ADAPTOR, configs[method]
    configs = {"maccap": t.MACCAP_PAPER, "capdec": t.CAPDEC_DAGGER, "decap": t.DECAP_DAGGER}
    return AdaptorConfig(encoder.embed_dim, lm.width), configs[method]


def _asked(config: Any, epochs: int | None, at_once: int | None, variance: float | None) -> Any:
    """Return a method's settings with what the options ask for."""
    from dataclasses import replace

    from vizer_core.textonly import GaussianNoise, NoNoise

    config = replace(config, epochs=epochs or config.epochs, captions_at_once=at_once)
    if variance is None:
        return config
    return replace(config, noise=GaussianNoise(variance) if variance else NoNoise())


@app.command(name="train-captioner")
def train_captioner_command(
    out: Annotated[
        Path, typer.Option(callback=new_file, help="Where the adaptor goes: a .safetensors file.")
    ],
    method: Annotated[str, typer.Option(help="maccap, capdec, or decap (also baseline's).")] = (
        "maccap"
    ),
    corpus: Corpus = "micro-home",
    captions: Annotated[int, typer.Option(min=2, help="At most so many captions.")] = 20_000,
    clip: Clip = "micro",
    pretrained: Pretrained = None,
    quick_gelu: QuickGelu = False,
    language_model: LanguageModel = MICRO_LM,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the method's own.")] = None,
    variance: Annotated[
        float | None,
        typer.Option(min=0.0, help="Noise in each coordinate; 0: none. Default: the method's own."),
    ] = None,
    captions_at_once: Annotated[
        int | None, typer.Option(min=1, help="Less memory: a batch goes through in such parts.")
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    report_to: ReportTo = None,
) -> None:
    """Train a captioner on text alone: no picture is read.

    CLIP encodes the corpus once; then an adaptor learns to write each caption from its own noised
    feature through a frozen language model. On the micro models it takes one or two minutes of a
    CPU core; at the paper's size hours of a GPU. A stopped run goes on when called again: its state
    lies beside --out until it is done. --dtype is the language model's: caption with the same one.
    Under torchrun or accelerate launch each batch is shared out, and the result is that of one
    process; with an FSDP configuration each process holds a part of the language model.
    """
    choice("--method", method, TRAININGS)
    with errors_as_exit_status():
        import torch

        from vizer_core.processes import is_main_process
        from vizer_core.runtime import seeded
        from vizer_core.textonly import (
            AdaptorDecoder,
            Checkpoint,
            TrainingPairs,
            fit_text_only,
            save_adaptor,
        )
        from vizer_core.tracking import curves_of, report_run

        _require_corpus(corpus)
        encoder = clip_encoder(clip, pretrained, device, quick_gelu)
        lm = language_model_of(language_model, device, dtype)
        texts = list(corpus_of(corpus, captions).captions)
        shape, config = _settings(method, clip == "micro", encoder, lm)
        config = _asked(config, epochs, captions_at_once, variance)
        steps = -(-len(texts) // config.batch_size) * config.epochs
        say(
            f"{len(texts):,} captions, {config.epochs} epochs, {steps:,} steps of "
            f"{config.batch_size} on {lm.device}", err=True,
        )  # fmt: skip
        pairs = TrainingPairs(encoder.encode_text(texts).cpu(), texts)
        torch.manual_seed(seed)
        adaptor = AdaptorDecoder(shape)
        state = out.with_suffix(".run.safetensors")
        history = fit_text_only(
            adaptor, lm, pairs, config, generator=seeded(seed),
            checkpoint=Checkpoint(state, every=200), progress=True,
        )  # fmt: skip
        made_by = {"method": method, "config": config.to_dict(), "pairs": pairs.digest,
                   "corpus": corpus, "seed": seed}  # fmt: skip
        if is_main_process():
            save_adaptor(out, adaptor, encoder=encoder, language_model=lm, made_by=made_by)
            for leftover in (state, state.with_suffix(".json")):
                leftover.unlink(missing_ok=True)
        report_run(curves_of(history), report_to, run=out.stem, folder=out.parent / "logs",
                   settings={"method": method, "corpus": corpus, "seed": seed})  # fmt: skip
        say(f"{out}: loss {history.mean_loss():.3f} after {steps:,} steps")


def _captioner(method: str, encoder: Any, lm: Any, options: dict[str, Any]) -> Any:
    """Make the captioner that --method names."""
    from vizer_core import captioners as c
    from vizer_core.runtime import seeded
    from vizer_core.textonly import PrefixWriter, load_adaptor

    def memory() -> Any:
        texts = list(corpus_of(options["corpus"], options["memory"]).captions)
        return c.MemoryBank.from_captions(
            encoder, texts, size=len(texts), generator=seeded(options["seed"])
        )

    if method == "clipre":
        return c.ClipRe(memory())
    if method == "magic":
        from vizer_core.captioners.magic import MAGIC_COCO, MAGIC_MICRO

        return c.Magic(lm, encoder, MAGIC_MICRO if options["micro"] else MAGIC_COCO)
    if method == "zerocap":
        from vizer_core.captioners import zerocap as z

        if options["micro"]:
            return c.ZeroCap(lm, encoder, z.ZEROCAP_MICRO, prompt=z.ZEROCAP_MICRO_PROMPT)
        return c.ZeroCap(lm, encoder, z.ZEROCAP)
    path = options["adaptor"] or _shipped_adaptor(method, encoder, lm)
    adaptor = load_adaptor(path, encoder=encoder, language_model=lm)
    writer = PrefixWriter(adaptor, lm)
    if method == "decap":
        return c.DeCap(writer, memory())
    if method in ("baseline", "capdec"):
        return {"baseline": c.Baseline, "capdec": c.CapDec}[method](writer)
    noise = _noise_of(path)
    inner = c.MacCap(writer, noise=noise)
    return c.SampledMacCap(inner, encoder) if method == "maccap" else inner


def _shipped_adaptor(method: str, encoder: Any, lm: Any) -> Path:
    """Return the shipped adaptor of a method, if it was made for these models."""
    from vizer_core.captioners.micro_adaptor import micro_adaptor_path
    from vizer_core.store import load_manifest

    path = micro_adaptor_path(f"micro-{TRAINING_OF[method]}")
    made_for = load_manifest(path)
    fits = (made_for["clip"]["fingerprint"], made_for["language_model"]["fingerprint"])
    if (encoder.fingerprint, lm.fingerprint) != fits:
        raise ValueError(
            f"--method {method} with {encoder.name} and {lm.name} wants --adaptor FILE: the "
            f"shipped one is for {made_for['clip']['name']} and "
            f"{made_for['language_model']['name']}. "
            f"Train one with vizer train-captioner --method {TRAINING_OF[method]} --out FILE and "
            "the same --clip, --pretrained and --language-model"
        )
    return path


def _require_adaptor(method: str, adaptor: Path | None, *, models: tuple[str, str]) -> None:
    """Raise before any model is loaded if there is no adaptor, or it is another method's."""
    from vizer_core.store import load_manifest

    wanted = TRAINING_OF[method]
    how = (
        f"train one with vizer train-captioner --method {wanted} --out FILE and the same --clip, "
        "--pretrained and --language-model"
    )
    if adaptor is None:
        if models != ("micro", MICRO_LM):
            raise ValueError(
                f"--method {method} with {' and '.join(models)} wants --adaptor FILE: {how}"
            )
        return
    if not adaptor.is_file():
        raise FileNotFoundError(f"no adaptor file {adaptor}: {how}")
    made_for = load_manifest(adaptor).get("method", wanted)
    if made_for != wanted:
        fits = ", ".join(name for name, training in TRAINING_OF.items() if training == made_for)
        raise ValueError(
            f"{adaptor} was trained by vizer train-captioner --method {made_for}, and --method "
            f"{method} wants one of --method {wanted}: train that, or caption with {fits}"
        )


def _noise_of(adaptor: Path) -> Any:
    """Return the noise that an adaptor was trained with, from its manifest."""
    from vizer_core.store import load_manifest
    from vizer_core.textonly import GaussianNoise

    noise = load_manifest(adaptor)["config"]["noise"]
    if noise["kind"] != "GaussianNoise":
        raise ValueError(f"{adaptor} was trained with {noise['kind']}: MacCap wants GaussianNoise")
    return GaussianNoise(noise["variance"])


def _vlm_captions(
    pictures: Any, model: str, adapter: str | None, *, device: str, dtype: str
) -> list[str]:
    """Caption pictures with a vision-language model and, where given, its adapter."""
    from vizer_core.vizer import load_adapter
    from vizer_core.vizer.shared_work import share_captions
    from vizer_core.vizer.text_states import ImageSource

    lora = None if adapter is None else adapter_of(adapter)  # first: it may not be there
    vlm = vlm_of(model, device, dtype)
    if lora is not None:
        require_dtype(lora, vlm)
        load_adapter(vlm, lora)
    return list(share_captions(vlm, ImageSource(vlm, pictures)))


@app.command(name="caption", short_help="Caption pictures: zero-shot, or with a VLM.")
def caption_command(
    images: Annotated[Path, typer.Argument(help="An image, or a folder of images.")],
    method: Annotated[
        str | None, typer.Option(help=f"A zero-shot captioner: {', '.join(METHODS)}.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Or a vision-language model: hub id, folder, micro-vlm, micro-vlm-hard."),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            help="LoRA for --model: a folder from vizer enhance, or a shipped one: "
            "micro-vlm-information, micro-vlm-read-back."
        ),
    ] = None,
    adaptor: Annotated[
        Path | None,
        typer.Option(
            help="Trained file for --method, from vizer train-captioner. Default on the micro "
            "models: the shipped one."
        ),
    ] = None,
    clip: Clip = "micro",
    pretrained: Pretrained = None,
    quick_gelu: QuickGelu = False,
    language_model: LanguageModel = MICRO_LM,
    corpus: Corpus = "micro-home",
    memory: Annotated[int, typer.Option(min=1, help="Captions in the memory.")] = 20_000,
    json_out: JsonOut = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
) -> None:
    """Caption pictures with a zero-shot method, or with a vision-language model and its adapter.

    Prints a line a picture; --json writes COCO results with file names as ids. A file that is no
    whole image is named and left out. On the micro models nothing has to be trained, and it takes
    some seconds; otherwise the models come from the local cache or the hub, and the first five
    methods want --adaptor.

    maccap draws 20 captions and lets CLIP choose, maccap_pass draws one; baseline, capdec and
    decap read one feature; clipre repeats a caption of --corpus; magic and zerocap steer the
    language model word by word.

    Example: vizer train-captioner --method maccap --corpus CAPTIONS.txt --clip ViT-B-32
    --pretrained openai --language-model facebook/opt-1.3b --out maccap.safetensors, and then
    vizer caption PICTURES --method maccap --adaptor maccap.safetensors with the same
    --clip, --pretrained and --language-model.
    """
    if (method is None) == (model is None):
        raise typer.BadParameter("give either --method NAME or --model NAME")
    if method is not None:
        choice("--method", method, METHODS)
    options = {"adapter": adapter, "adaptor": adaptor, "clip": clip, "pretrained": pretrained,
               "quick_gelu": quick_gelu, "language_model": language_model, "corpus": corpus,
               "memory": memory}  # fmt: skip
    refuse_unused(method, options)
    keep_inputs(json_out, "--json", images, corpus, adaptor, pretrained)
    with errors_as_exit_status():
        from vizer_core.processes import is_main_process
        from vizer_core.runtime import seeded

        names, pictures = read_pictures(images)
        if model is not None:
            texts = _vlm_captions(pictures, model, adapter, device=device, dtype=dtype)
        else:
            from vizer_core.captioners import caption_images

            _require_corpus(corpus)
            if method in TRAINED:
                _require_adaptor(method, adaptor, models=(clip, language_model))
            encoder = clip_encoder(clip, pretrained, device, quick_gelu)
            options |= {"seed": seed, "micro": clip == "micro"}
            needs_lm = method != "clipre"
            lm = language_model_of(language_model, device, dtype) if needs_lm else None
            captioner = _captioner(method, encoder, lm, options)
            texts = caption_images(captioner, encoder, pictures, generator=seeded(seed))
        if is_main_process():
            _tell(names, texts, json_out)


def _tell(names: list[str], texts: list[str], json_out: Path | None) -> None:
    """Print a line a picture, and write the file even where the reader of the lines has gone away.

    Neither may cost the other: the lines come first, since a disk may be full, and letters that
    the terminal cannot show, as in names that are no UTF-8, are escaped.
    """
    import sys

    from vizer_core.data.coco import write_results
    from vizer_core.data.karpathy import one_line

    texts = [one_line(text) for text in texts]  # a model may write line breaks
    coding = sys.stdout.encoding or "utf-8"
    try:
        for name, text in zip(names, texts):
            typer.echo(f"{name}\t{text}".encode(coding, "backslashreplace").decode(coding))
    finally:
        if json_out is not None:
            ids = [name.encode("utf-8", "backslashreplace").decode("utf-8") for name in names]
            write_results(json_out, dict(zip(ids, texts)))
