"""The jobs of the package, each as one function of models, images and texts.

====================  =========================================================================
`train_captioner`     a captioner from captions alone, written to a folder and returned
`enhance`             a LoRA adapter from unlabelled images (ViZer), and what it did
`improve`             what unlabelled images buy: prompts, decoders, training, on a ladder
`evaluate`            captions against references, with intervals; with a CLIP also CLIPScore
`compare`             two systems on the same images, paired (of `vizer_core.evaluation`)
`answer_questions`    zero-shot questions about images, from captions alone
====================  =========================================================================

Models come from `vizer_core.models`, images from `vizer_core.data.image_set.read_images`. The
command line adds options to these jobs. The first three are long: stopped and called again with the
same arguments they go on to the same weights, with others they are refused, and one that came to
its end returns what it made (`captioner_job`, `adapter_job`, `run_folder`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from vizer_core import adapter_job, captioner_job
from vizer_core.adapter_job import AdapterJob, Enhancement, run_record
from vizer_core.captioner_job import CaptionerJob, run_folder
from vizer_core.captioners.protocol import ImageCaptioner
from vizer_core.captioners.registry import METHODS
from vizer_core.clip.protocol import ImageTextEncoder
from vizer_core.data.corpus import load_corpus, require_corpus
from vizer_core.data.image_names import meet_images
from vizer_core.data.image_set import ImageSet, read_images
from vizer_core.data.vqav2 import VQAV2_CANDIDATES, AnswerList, VqaQuestions, read_vqav2_folder
from vizer_core.evaluation import Evaluation, Inputs, compare, make_references
from vizer_core.evaluation import evaluate as score
from vizer_core.files import manifest_path
from vizer_core.improvement.job import ImproveJob
from vizer_core.improvement.outcome import REPORT, Improvement, read_improvement
from vizer_core.improvement.outcome import job_kept_in as improvement_kept_in
from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.metrics.clipscore import PREFIX
from vizer_core.metrics.references import References, match
from vizer_core.models import DRAWN_CORPUS, is_shipped, load_captioner, trained_file
from vizer_core.run_folder import JOB, differences, is_unfinished
from vizer_core.shipped import shipped_names
from vizer_core.textonly.presets import TRAININGS
from vizer_core.vizer.lora import CONFIG, MANIFEST, WEIGHTS, require_no_lora
from vizer_core.vizer.named_objectives import objective_named
from vizer_core.vizer.recipes import parameters_of, recipe_for
from vizer_core.vlm.protocol import VisionLanguageModel
from vizer_core.vqa.answering import protocol_for
from vizer_core.vqa.report import VqaReport, evaluate_vqa
from vizer_core.vqa.scoring import frequent_answers

__all__ = [
    "Enhancement",
    "answer_questions",
    "compare",
    "enhance",
    "evaluate",
    "improve",
    "read_vqav2",
    "train_captioner",
]

logger = logging.getLogger(__name__)
SHIPPED_CAPTIONS = 20_000  # of a shipped corpus; a file is read whole
Images = str | Path | ImageSet | Sequence[Image.Image]


def train_captioner(
    method: str,
    *,
    corpus: str | Path | Sequence[str],
    clip: ImageTextEncoder,
    lm: Any,
    out: str | Path,
    epochs: int | None = None,
    seed: int = 0,
) -> ImageCaptioner:
    """Train a captioner on text alone, write it to `out`, and return it with its encoder.

    `method` is maccap, capdec, decap, or one of the last two with `_same_decoder`. `corpus` is a
    file of captions, `hf:OWNER/DATASET:SPLIT`, a shipped corpus by name, or the captions
    themselves. `out` is a folder or a .safetensors file; `load_captioner(out)` reads it. No image
    is read, and both models stay as they are. On the drawn models 20,000 captions take a minute or
    two of a CPU core; at the paper's size it is hours of a GPU.

    Stopped, by a kill too, and called again with the same arguments it goes on to the same weights:
    it saves itself every 200 steps and on Ctrl-C, in `OUT.run` beside the file. Where `out` has
    what these arguments made, it is loaded and nothing is trained.

    Raises `ValueError` on an unknown method, on fewer than two different captions, and where a run
    with other arguments was stopped (it names them and keeps the run); `FileNotFoundError` if there
    is no such corpus, and `FileExistsError` if something else is at `out`.
    """
    if method not in TRAININGS:
        raise ValueError(f"no training {method!r}: wanted one of {', '.join(TRAININGS)}")
    file = trained_file(out)
    texts = _captions_of(corpus)
    job = CaptionerJob(method, texts, clip, lm, seed=seed, epochs=epochs)
    there = _there(file, manifest_path(file))
    if there and not is_unfinished(run_folder(file) / JOB):
        _require_made_by(captioner_job.job_kept_in(file), job, there[0])
    else:
        job.run(file)
    own = method.removesuffix("_same_decoder")
    memory = texts if METHODS[own].memory else DRAWN_CORPUS
    return load_captioner(file, clip=clip, lm=lm, memory=memory)


def _there(*files: Path) -> list[Path]:
    """Return those of some files that are there, links to nothing too."""
    return [file for file in files if file.exists() or file.is_symlink()]


def _require_made_by(
    kept: Mapping[str, Any] | None, job: CaptionerJob | AdapterJob | ImproveJob, out: Path
) -> None:
    """Raise `FileExistsError` unless what is there is what this job made; `kept` is whose it is."""
    if kept == job.identity:
        logger.info("%s is there already, made by the same job: nothing is trained", out)
        return
    whose = f", of another run ({differences(kept, job.identity)})" if kept is not None else ""
    raise FileExistsError(
        f"{out} is there already{whose}, and nothing is replaced: name another out, or delete it "
        "first"
    )


def _captions_of(corpus: str | Path | Sequence[str]) -> list[str]:
    if isinstance(corpus, str | Path):
        require_corpus(str(corpus))
        limit = SHIPPED_CAPTIONS if str(corpus) in shipped_names("corpus") else 10**12
        texts = list(load_corpus(str(corpus), limit).captions)
    else:
        texts = list(corpus)
    if len(set(texts)) < 2:
        raise ValueError(
            f"got {len(texts)} captions, {len(set(texts))} different: a captioner learns from "
            "differences, wanted at least 2, better some thousands"
        )
    return texts


def enhance(
    vlm: VisionLanguageModel,
    images: Images,
    *,
    out: str | Path,
    objective: Any = "image_context",
    recipe: str = "auto",
    shuffle: bool = False,
    seed: int = 0,
    **settings: Any,
) -> Enhancement:
    """Train a LoRA adapter on unlabelled images, write it to the folder `out`, and say what it did.

    `objective` is a name: `image_context` (the paper's, `vizer_g` there), `read_back` or
    `straight_through`, which fit a mapper on the model's own captions first and want at least 20
    images; `information`, `self_training`, `raft` or `dpo`, which do not; or an object, a `Reward`
    or an `Objective`. What helps your model `improve` finds out. `recipe` is where the settings
    come from, by the model's size unless told otherwise (`vizer.recipes`), and `settings` stand in
    the place of some: learning_rate, epochs, samples, max_tokens, micro_batch_size, rank, alpha,
    targets and the other fields of `TrainConfig`. `shuffle` gives each image another's target: the
    control that must not help.

    `vlm` carries the adapter afterwards. On the drawn VLM 1,000 images take about a minute of a CPU
    core; SmolVLM wants a GPU.

    Stopped, by a kill too, and called again with the same arguments it goes on to the same weights:
    it saves itself every few steps and on Ctrl-C, in `OUT/.vizer-run`, and takes the adapter off
    `vlm` again. An objective that is an object is known by its settings, not by its code. Where
    `out` contains what these arguments made, it is put on `vlm` and nothing is trained.

    Raises `ValueError` on an unknown objective, on fewer than 2 images, where the model carries
    an adapter already, and where a run with other arguments was stopped (it names them and keeps
    the run); `FileExistsError` where `out` contains another adapter or a model.
    """
    if isinstance(objective, str):
        objective = objective_named(objective)
    folder, data = Path(out), _image_set(images)
    if _there(folder / "config.json"):
        raise FileExistsError(
            f"{folder / 'config.json'} is there already, and nothing is replaced: a model lies in "
            f"{folder}, name another out"
        )
    if len(data) < 2:
        raise ValueError(
            f"got {len(data)} image, and an adapter learns from differences between images: wanted "
            "at least 2, better some hundreds"
        )
    require_no_lora(vlm)
    plan = recipe_for(
        objective, parameters=parameters_of(vlm), images=len(data), name=recipe, changes=settings
    )
    job = AdapterJob(vlm, data, objective, plan.config, seed=seed, shuffle=shuffle, lora=plan.lora)
    there = _there(*(folder / name for name in (MANIFEST, WEIGHTS, CONFIG)))
    if there and not is_unfinished(run_record(folder)):
        _require_made_by(adapter_job.job_kept_in(folder), job, there[0])
        return job.result(folder)
    return job.run(folder)


def improve(
    vlm: VisionLanguageModel,
    images: Images,
    *,
    out: str | Path,
    train: str = "auto",
    views: int = 5,
    prompts: Sequence[str] = (),
    seed: int = 0,
) -> Improvement:
    """Find out what unlabelled images can do for a model's captions, and write a report to `out`.

    First words, the `prompts` that are given, and decoders are tried on some of the images and
    scored without a label (`vizer.view_agreement`). A LoRA adapter is trained on the model's own
    best captions of at most 2,560 images, where `train` is always, or auto and training is expected
    to add something. The ladder of all of them is climbed on held-out images: `report.html`,
    `report.json` and, where one was trained, an adapter with its model card, which `vlm` carries
    afterwards.

    Stopped while it trains, and called again with the same arguments, it goes on to the same
    weights. Where `out` contains the report of these arguments it is returned as it is, and nothing
    is put on `vlm`. On the drawn models some minutes of a CPU core; SmolVLM wants a GPU.

    Raises `ValueError` on fewer than 24 images, where the model captions as random weights do,
    carries an adapter, or with train="always" would collapse, and where another run was stopped in
    `out`; and `FileExistsError` where `out` contains another report, an adapter or a model.
    """
    folder, data = Path(out), _image_set(images)
    require_no_lora(vlm)
    job = ImproveJob(vlm, data, train, views, tuple(prompts), seed=seed)
    there = _there(*(folder / name for name in (REPORT, MANIFEST, WEIGHTS, "config.json")))
    if there and not is_unfinished(run_record(folder)):
        _require_made_by(improvement_kept_in(folder), job, there[0])
        return read_improvement(folder)
    return job.run(folder)


def _image_set(images: Images) -> ImageSet:
    if isinstance(images, ImageSet):
        return images
    if isinstance(images, str | Path):
        return read_images(images)
    return ImageSet(tuple(str(index) for index in range(len(images))), images)


def evaluate(
    captions: Mapping[Any, str] | Sequence[str],
    references: References | Mapping[Any, Sequence[str]] | Sequence[Sequence[str]],
    *,
    images: ImageSet | Mapping[Any, Image.Image] | Sequence[Image.Image] | None = None,
    judge: ImageTextEncoder | None = None,
    **options: Any,
) -> Evaluation:
    """Score one caption per image against its references, each metric with a 95% interval.

    Captions and references are in one order, or both by image id. With `images`, in the order of
    the references or by id (an `ImageSet`'s by name, or COCO's number, wherever captions have ids),
    and a CLIP as `judge` it computes CLIPScore, RefCLIPScore and self-retrieval too; take a judge
    that no system was trained with. `options` are those of `evaluation.evaluate`: metrics, inputs,
    missing_captions, resamples, seed. Some seconds for 5,000 images, and one pass of the judge.

    Raises `ValueError` where captions, references and images do not fit, and where one of images
    and judge is given alone.
    """
    if (images is None) != (judge is None):
        given, absent = ("images", "judge=clip") if judge is None else ("judge", "images=")
        raise ValueError(f"got {given} alone: CLIPScore wants {absent} too, or leave {given} out")
    if images is None or judge is None:
        return score(captions, references, **options)
    if not isinstance(references, References):
        references = make_references(references)
    matched = match(captions, references, missing=options.get("missing_captions", "error"))
    inputs = replace(
        options.pop("inputs", None) or Inputs(),
        image_features=judge.encode_image(_images_at(matched.ids, images, references)).cpu(),
    ).encoded(
        judge,
        matched.hypotheses,
        references=matched.references.captions,
        prefix="" if is_shipped(judge) else PREFIX,
    )
    return score(captions, references, inputs=inputs, **options)


def _images_at(ids: Sequence[Any], images: Any, references: References) -> list[Image.Image]:
    """Return the images at some ids of the references, in that order."""
    if isinstance(images, ImageSet):
        images = _by_id(images, references.ids)
    if isinstance(images, Mapping):
        found = {str(name): image for name, image in images.items()}
        absent = [name for name in ids if str(name) not in found]
        if absent:
            there = next(iter(found), None)
            raise ValueError(
                f"no image for {len(absent)} of {len(ids)} ids, first {absent[0]!r}: wanted images "
                f"under the ids of the references, and they are under names such as {there!r}"
            )
        return [found[str(name)] for name in ids]
    if len(images) != len(references.ids):
        raise ValueError(
            f"got {len(images)} images for {len(references.ids)} references: wanted one each, in "
            "one order, or images by id"
        )
    row_of = {str(name): row for row, name in enumerate(references.ids)}
    return [images[row_of[str(name)]] for name in ids]


def _by_id(images: ImageSet, ids: Sequence[Any]) -> Any:
    """Return named images under the ids that mean them; in order where ids are a list's indices."""
    met = meet_images(ids, {name: name for name in images.names})
    if len(met) < len(ids) and list(ids) == list(range(len(ids))):
        return images.images
    named = dict(zip(images.names, images.images))
    return named | {name: named[str(meant)] for name, meant in met.items()}


def read_vqav2(folder: str | Path) -> VqaQuestions:
    """Read VQAv2's questions and answers out of a folder: one split, and another for the floors.

    See `data.vqav2.read_vqav2_folder`.
    """
    return read_vqav2_folder(Path(folder))


def answer_questions(
    questions: VqaQuestions,
    captions: Mapping[str, Mapping[Any, str]],
    *,
    lm: PrefixLanguageModel,
    clip: ImageTextEncoder,
    candidates: AnswerList | None = None,
    prompt: str = "auto",
    batch_size: int = 64,
) -> VqaReport:
    """Answer questions about images from each system's captions, and from none (MacCap, 4.4).

    `captions` are by system, then by image: COCO's number, or the file's name. The language model
    generates an answer, `clip`'s text tower looks it up among the candidates, by default the most
    frequent answers of the training questions. `prompt` is paper, release or auto. Costs a pass of
    the language model for each question and system.

    Raises `ValueError` where an image that is asked about has no caption.
    """
    said = {system: _by_image(texts, questions, system) for system, texts in captions.items()}
    answers = candidates or frequent_answers(questions.training, VQAV2_CANDIDATES)
    protocol = protocol_for(lm, clip, answers, prompt=prompt, batch_size=batch_size)
    return evaluate_vqa(questions.items, said, protocol, training=questions.training)


def _by_image(texts: Mapping[Any, str], questions: VqaQuestions, system: str) -> dict[str, str]:
    """Return captions under the questions' image ids."""
    asked: dict[int | str, str] = {item.image_id: item.image_id for item in questions.items}
    met = meet_images(texts, asked)
    if not met:  # a question may name its image without the file's ending
        texts = {Path(str(name)).stem: text for name, text in texts.items()}
        met = meet_images(texts, asked)
    if not met:
        raise ValueError(
            f"system {system!r} has captions for none of the images that are asked about: it names "
            f"{next(iter(texts), None)!r}, the questions {next(iter(asked))!r}"
        )
    return {str(image): texts[name] for name, image in met.items()}
