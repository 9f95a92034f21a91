"""The jobs of the package, each as one function of models, images and texts.

====================  =========================================================================
`train_captioner`     a captioner from captions alone, written to a folder and returned
`enhance`             a LoRA adapter from unlabelled images (ViZer), and what it did
`evaluate`            captions against references, with intervals; with a CLIP also CLIPScore
`compare`             two systems on the same images, paired (of `vizer_core.evaluation`)
`answer_questions`    zero-shot questions about images, from captions alone
====================  =========================================================================

Models come from `vizer_core.models`, images from `vizer_core.data.image_set.read_images`. The
command line adds options to these jobs, and runs that go on after they were stopped.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

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
from vizer_core.language.protocol import PrefixLanguageModel
from vizer_core.metrics.clipscore import PREFIX
from vizer_core.metrics.references import References, match
from vizer_core.models import dtype_of, is_micro, load_captioner, trained_file
from vizer_core.runtime import seeded
from vizer_core.shipped import shipped_names
from vizer_core.textonly import TrainingPairs, fit_text_only, save_prefix_network
from vizer_core.textonly.prefix_network import new_prefix_network
from vizer_core.textonly.presets import TRAININGS, settings_of
from vizer_core.vizer import add_lora, save_adapter, shuffled
from vizer_core.vizer.diagnostics import warnings_of
from vizer_core.vizer.drift import Drift, measure_drift
from vizer_core.vizer.lora import CONFIG, MANIFEST, WEIGHTS
from vizer_core.vizer.named_objectives import (
    WITH_MAPPER,
    config_of,
    make_objective,
    objective_named,
)
from vizer_core.vizer.phase_two import curve_of, fit_on_own_captions, forecast, kl_now
from vizer_core.vizer.text_states import ImageSource
from vizer_core.vizer.train import train_adapter
from vizer_core.vizer.write_captions import write_captions
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
    "read_vqav2",
    "train_captioner",
]

SHIPPED_CAPTIONS = 20_000  # of a shipped corpus; a file is read whole
LOOKED_AT = 200  # images whose captions are compared before and after
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
    is read, and both models stay as they are. On the micro models 20,000 captions take a minute or
    two of a CPU core; at the paper's size it is hours of a GPU. It does not save itself on the way:
    `vizer train-captioner` does.

    Raises `ValueError` on an unknown method or fewer than two different captions,
    `FileNotFoundError` if there is no such corpus, and `FileExistsError` if `out` is there already.
    """
    import torch

    if method not in TRAININGS:
        raise ValueError(f"no training {method!r}: wanted one of {', '.join(TRAININGS)}")
    file = trained_file(out)
    _require_new(file, manifest_path(file))
    texts = _captions_of(corpus)
    shape, config = settings_of(method, encoder=clip, lm=lm, epochs=epochs)
    torch.manual_seed(seed)
    prefix_network: Any = new_prefix_network(
        shape
    )  # checkers do not see that a module's call is `forward`
    pairs = TrainingPairs(clip.encode_text(texts).cpu(), texts)
    fit_text_only(prefix_network, lm, pairs, config, generator=seeded(seed))
    file.parent.mkdir(parents=True, exist_ok=True)
    made_by = {"method": method, "config": config.to_dict(), "pairs": pairs.digest, "seed": seed}
    save_prefix_network(file, prefix_network, encoder=clip, language_model=lm, made_by=made_by)
    own = method.removesuffix("_same_decoder")
    memory = texts if METHODS[own].memory else "micro-home"
    return load_captioner(file, clip=clip, lm=lm, memory=memory)


def _require_new(*files: Path) -> None:
    """Raise `FileExistsError` before any work if a file that it would end in is there already."""
    there = [str(file) for file in files if file.exists() or file.is_symlink()]
    if there:
        raise FileExistsError(
            f"{', '.join(there)} is there already, and nothing is replaced: name another out, or "
            "delete it first"
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


@dataclass(frozen=True, eq=False)
class Enhancement:
    """What zero-label training did: captions of the first images before and after, and how far.

    `forecast` is what was expected before, `curve` the loss by step, `kl` KL(base || now) a caption
    token in nats.
    """

    folder: Path
    measured: str
    names: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    curve: tuple[float, ...]
    kl: float

    @property
    def drift(self) -> Drift:
        """How far the captions moved."""
        return measure_drift(self.before, self.after, kl=self.kl)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What looks wrong, in words; run it once with `shuffle=True` before you believe a gain."""
        return tuple(warnings_of((self.curve[0], self.curve[-1]), self.drift))

    def table(self) -> str:
        """Lay out what was expected, what changed, and three captions before and after."""
        drift, pairs = self.drift, list(zip(self.names, self.before, self.after))
        order = sorted(range(len(pairs)), key=lambda i: pairs[i][1] == pairs[i][2])[:3]
        return "\n".join(
            [
                self.measured,
                f"{drift.changed:.0%} of {drift.n} captions changed; length x {drift.longer:.2f}; "
                f"KL from the base {self.kl:.2g}; wrote {self.folder}",
                *(f"warning: {line}" for line in self.warnings),
                *(f"  {pairs[i][0]}: {pairs[i][1]}  ->  {pairs[i][2]}" for i in sorted(order)),
            ]
        )


def enhance(
    vlm: VisionLanguageModel,
    images: Images,
    *,
    out: str | Path,
    objective: Any = "information",
    learning_rate: float | None = None,
    shuffle: bool = False,
    seed: int = 0,
) -> Enhancement:
    """Train a LoRA adapter on unlabelled images, write it to the folder `out`, and say what it did.

    `objective` is a name: `vizer_g` (the paper's; `image_context` here), `information`, `read_back`
    or `straight_through`; or an object, a `Reward` or an `Objective`. All but the second fit a
    mapper on the model's own captions first, which wants at least 20 images. `shuffle` gives each
    image another's target: the control that must not help.

    `vlm` carries the adapter afterwards. On the micro VLM 1,000 images take about a minute of a CPU
    core; SmolVLM wants a GPU. It does not save itself on the way: `vizer enhance` does.

    Raises `ValueError` on an unknown objective, on fewer than 2 images, and where the model carries
    an adapter already; `FileExistsError` where `out` holds an adapter or a model.
    """
    if isinstance(objective, str):
        objective = objective_named(objective)
    _require_new(*(Path(out) / name for name in (MANIFEST, WEIGHTS, CONFIG, "config.json")))
    data = _image_set(images)
    if len(data) < 2:
        raise ValueError(
            f"got {len(data)} image, and an adapter learns from differences between images: wanted "
            "at least 2, better some hundreds"
        )
    source = ImageSource(vlm, data.images)
    few = ImageSource(vlm, data.images[:LOOKED_AT])
    fitted = None
    if objective in WITH_MAPPER:
        with tempfile.TemporaryDirectory(prefix="vizer-mapper-") as states:
            fitted = fit_on_own_captions(
                vlm, source, data.names, objective=objective, seed=seed, folder=Path(states)
            )
    config = config_of(objective)
    if learning_rate is not None:
        config = replace(config, learning_rate=learning_rate)
    goal = make_objective(objective, vlm, fitted=fitted)
    _, measured = forecast(vlm, source, goal, seed=seed)
    before = write_captions(vlm, few)
    add_lora(vlm, generator=seeded(seed))
    seen = shuffled(source, generator=seeded(seed + 1)) if shuffle else source
    history = train_adapter(vlm, seen, goal, config, generator=seeded(seed))
    made_by = {
        "objective": objective if isinstance(objective, str) else type(objective).__name__,
        "images": len(data),
        "shuffled": shuffle,
        "learning_rate": config.learning_rate,
        "seed": seed,
        "dtype": dtype_of(vlm),
    }
    folder = save_adapter(vlm, Path(out), made_by=made_by)
    curve, kl = tuple(curve_of(history, goal)), kl_now(vlm, source, seed=seed)
    after = write_captions(vlm, few)
    return Enhancement(folder, measured, data.names[: len(few)], before, after, curve, kl)


def _image_set(images: Images) -> ImageSet:
    if isinstance(images, ImageSet):
        return images
    if isinstance(images, str | Path):
        return read_images(images)
    return ImageSet(tuple(str(place) for place in range(len(images))), images)


def evaluate(
    captions: Mapping[Any, str] | Sequence[str],
    references: References | Mapping[Any, Sequence[str]] | Sequence[Sequence[str]],
    *,
    images: ImageSet | Mapping[Any, Image.Image] | Sequence[Image.Image] | None = None,
    judge: ImageTextEncoder | None = None,
    **options: Any,
) -> Evaluation:
    """Score one caption an image against its references, each metric with a 95% interval.

    Captions and references are in one order, or both by image id. With `images`, in the order of
    the references or by id, and a CLIP as `judge` it computes CLIPScore, RefCLIPScore and
    self-retrieval too; take a judge that no system was trained with. `options` are those of
    `evaluation.evaluate`: metrics, inputs, missing_captions, resamples, seed. Some seconds for
    5,000 images, and one pass of the judge.

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
        prefix="" if is_micro(judge) else PREFIX,
    )
    return score(captions, references, inputs=inputs, **options)


def _images_at(ids: Sequence[Any], images: Any, references: References) -> list[Image.Image]:
    """Return the images at some ids of the references, in that order."""
    if isinstance(images, ImageSet):
        named = dict(zip(images.names, images.images))
        images = named if set(map(str, ids)) <= set(named) else images.images
    if isinstance(images, Mapping):
        found = {str(name): image for name, image in images.items()}
        absent = [name for name in ids if str(name) not in found]
        if absent:
            raise ValueError(f"no image for {len(absent)} of {len(ids)} ids, first {absent[0]!r}")
        return [found[str(name)] for name in ids]
    if len(images) != len(references.ids):
        raise ValueError(
            f"got {len(images)} images for {len(references.ids)} references: wanted one each, in "
            "one order, or images by id"
        )
    place = {str(name): row for row, name in enumerate(references.ids)}
    return [images[place[str(name)]] for name in ids]


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
    writes an answer, `clip`'s text tower looks it up among the candidates, by default the most
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
