"""The captioners that have a name: `METHODS`, read by the commands, the jobs and `load_captioner`.

Each row says what a method needs and how it is made; all code that must know reads it here. Another
captioner is a file with its class, a function below that makes it, and its row: `register`. Nothing
heavy is imported before a captioner is made, so that the help of a command is shown at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizer_core.decoding import Style

if TYPE_CHECKING:
    from vizer_core.captioners.memory_bank import MemoryBank
    from vizer_core.captioners.protocol import Captioner
    from vizer_core.textonly import GaussianNoise, PrefixGenerator


class NoTrainedPartError(ValueError):
    """No file of a trained part was given, and no shipped one fits; `training` makes one."""

    def __init__(self, lack: str, training: str) -> None:
        super().__init__(
            f"{lack}. Train one with train_captioner({training!r}, out=FILE) and the same clip and "
            "lm, and give its file"
        )
        self.lack, self.training = lack, training


@dataclass(frozen=True)
class Parts:
    """What a captioner is made of beside its CLIP and its language model.

    `trained` is a file from `vizer train-captioner`; None takes a shipped one, if it fits. `memory`
    are the captions that clipre repeats, decap projects on, concepts and socratic take words from.
    `small` takes the settings for the small shipped models.
    """

    trained: Path | None = None
    memory: Sequence[str] = ()
    small: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Given:
    """All that a captioner is made of; `lm` may be None for a method without one."""

    method: Method
    encoder: Any
    lm: Any
    parts: Parts
    style: Style

    def trained(self) -> Path:
        """Return the file of the trained part: the one that is given, or a shipped one that fits.

        Raises `ValueError` where the given one is another method's, and `NoTrainedPartError` where
        the shipped one was made with other models.
        """
        from vizer_core.files import load_manifest
        from vizer_core.shipped import shipped

        if self.parts.trained is not None:
            require_training(self.parts.trained, self.method)
            return self.parts.trained
        training = self.method.trainings[0]
        path: Path = shipped("captioner", f"drawn-{training}")()
        made_for = load_manifest(path)
        fits = (made_for["clip"]["fingerprint"], made_for["language_model"]["fingerprint"])
        if (self.encoder.fingerprint, self.lm.fingerprint) != fits:
            raise NoTrainedPartError(
                f"{self.method.name} with {self.encoder.name} and {self.lm.name} wants a trained "
                f"file: the shipped one is for {made_for['clip']['name']} and "
                f"{made_for['language_model']['name']}",
                training,
            )
        return path

    def prefix_generator(self) -> PrefixGenerator:
        """Return the trained part before the language model, with the rule of decoding."""
        from vizer_core.textonly import PrefixGenerator, load_prefix_network
        from vizer_core.textonly.filtering import MACCAP_DECODING, SMALL_DECODING

        own = SMALL_DECODING if self.parts.small else MACCAP_DECODING
        prefix_network = load_prefix_network(
            self.trained(), encoder=self.encoder, language_model=self.lm
        )
        return PrefixGenerator(prefix_network, self.lm, self.style.rule(own))

    def noise(self) -> GaussianNoise:
        """Return the noise that the trained part was trained with, from its manifest."""
        from vizer_core.files import load_manifest
        from vizer_core.textonly import GaussianNoise

        file = self.trained()
        config = load_manifest(file).get("config")
        noise = config.get("noise") if isinstance(config, dict) else None
        if not isinstance(noise, dict) or not {"kind", "variance"} <= noise.keys():
            raise ValueError(f"{file}: its manifest does not say with which noise it was trained")
        if noise["kind"] != "GaussianNoise":
            raise ValueError(f"{file} was trained with {noise['kind']}: MacCap wants GaussianNoise")
        return GaussianNoise(noise["variance"])

    def memory(self) -> MemoryBank:
        """Return the memory's captions with their features, all of them."""
        from vizer_core.captioners.memory_bank import MemoryBank
        from vizer_core.runtime import seeded

        texts = list(self.parts.memory)
        draws = seeded(self.parts.seed)
        return MemoryBank.from_captions(self.encoder, texts, size=len(texts), generator=draws)


@dataclass(frozen=True)
class Method:
    """One captioner with a name: what it says, what it needs, and how it is made.

    `trainings` are those whose files it reads (`textonly.presets.TRAININGS`), the paper's first.
    `memory` says whether it looks into captions, `language_model` whether it has one, `draws`
    whether its captions depend on a seed without any `style`, which are the fields of `Style` that
    it reads.
    """

    name: str
    says: str
    make: Callable[[Given], Captioner] = field(repr=False)
    trainings: tuple[str, ...] = ()
    memory: bool = False
    language_model: bool = True
    draws: bool = False
    style: tuple[str, ...] = ()


METHODS: dict[str, Method] = {}


def register(method: Method) -> None:
    """Give a captioner its name. Raises `ValueError` on a name that another one has."""
    if method.name in METHODS:
        raise ValueError(f"there is a captioner {method.name!r} already: wanted another name")
    METHODS[method.name] = method


def method_named(name: str) -> Method:
    """Return the row of a name.

    >>> method_named("decap").trainings, method_named("clipre").language_model
    (('decap', 'decap_same_decoder'), False)

    Raises `ValueError` on an unknown name, with those that there are.
    """
    if name not in METHODS:
        raise ValueError(f"no method {name!r}: wanted one of {', '.join(METHODS)}")
    return METHODS[name]


def training_of(file: Path) -> str | None:
    """Return the training that made a file; shipped ones say it in their name.

    None where neither its manifest nor its name says so. Raises `ValueError` and `OSError` on a
    file that cannot be read.
    """
    from vizer_core.files import load_manifest

    said = load_manifest(file).get("method")
    if said is None and file.stem.startswith("drawn-"):  # drawn-maccap, drawn-maccap-clean
        said = file.stem.split("-")[1]
    return None if said is None else str(said)


def require_training(file: Path, method: Method) -> None:
    """Raise `ValueError` on the file of a trained part that is another method's."""
    made = training_of(file)
    if made is None or made in method.trainings:
        return
    fits = [name for name, row in METHODS.items() if made in row.trainings]
    instead = f", or caption with {', '.join(fits)}" if fits else ""
    raise ValueError(
        f"{file} was trained by vizer train-captioner --method {made}, and --method "
        f"{method.name} wants one of --method {method.trainings[0]}: train that{instead}"
    )


def captioner_of(
    name: str, encoder: Any, lm: Any, parts: Parts, style: Style | None = None
) -> Captioner:
    """Make the captioner of a name; `lm` may be None for a method without a language model.

    Raises `ValueError` on an unknown name, on a trained part of another method or of other models,
    and where no shipped one fits.
    """
    method = method_named(name)
    return method.make(Given(method, encoder, lm, parts, style or Style()))


def _maccap(given: Given) -> Captioner:
    from vizer_core.captioners.maccap import SampledMacCap

    return SampledMacCap(_maccap_pass(given), given.encoder)


def _maccap_pass(given: Given) -> Any:
    from vizer_core.captioners.maccap import MacCap

    return MacCap(given.prefix_generator(), noise=given.noise())


def _baseline(given: Given) -> Captioner:
    from vizer_core.captioners.single_token import Baseline

    return Baseline(given.prefix_generator())


def _capdec(given: Given) -> Captioner:
    from vizer_core.captioners.single_token import CapDec

    return CapDec(given.prefix_generator())


def _decap(given: Given) -> Captioner:
    from vizer_core.captioners.decap import DeCap

    return DeCap(given.prefix_generator(), given.memory())


def _concepts(given: Given) -> Captioner:
    from vizer_core.captioners.concepts import NEAREST, Concepts

    bank = Concepts.bank(given.encoder, given.parts.memory)
    return Concepts(given.prefix_generator(), bank, k=min(NEAREST, len(bank)))


def _clipre(given: Given) -> Captioner:
    from vizer_core.captioners.clipre import ClipRe

    return ClipRe(given.memory())


def _magic(given: Given) -> Captioner:
    from vizer_core.captioners.magic import MAGIC_COCO, MAGIC_SMALL, Magic

    config = MAGIC_SMALL if given.parts.small else MAGIC_COCO
    config = replace(config, max_tokens=given.style.max_tokens or config.max_tokens)
    return Magic(given.lm, given.encoder, config, prompt=given.style.prompt or "")


def _zerocap(given: Given) -> Captioner:
    from vizer_core.captioners import zerocap

    config, prompt = zerocap.ZEROCAP, zerocap.ZEROCAP_PROMPT
    if given.parts.small:
        config, prompt = zerocap.ZEROCAP_SMALL, zerocap.ZEROCAP_SMALL_PROMPT
    style = given.style
    length, beams = style.max_tokens or config.max_tokens, style.beams or config.beams
    config = replace(config, max_tokens=length, beams=beams)
    prompt = prompt if style.prompt is None else style.prompt
    return zerocap.ZeroCap(given.lm, given.encoder, config, prompt=prompt)


def _socratic(given: Given) -> Captioner:
    from vizer_core.captioners import socratic

    lists = socratic.lists_of(given.parts.memory)
    rule = given.style.rule(socratic.SOCRATIC_DECODING)
    # the shipped language model has read bare words; another one goes on with a text
    prompting = socratic.TagPrefix() if given.parts.small else socratic.CompletionPrompt()
    return socratic.Socratic(given.encoder, given.lm, lists, prompting, decoding=rule)


OF_PREFIX = ("max_tokens", "beams", "temperature")  # a rule of decoding; a prefix has no prompt

register(
    Method(
        "maccap",
        "draws 20 captions and lets CLIP choose",
        _maccap,
        trainings=("maccap",),
        draws=True,
        style=OF_PREFIX,
    )
)
register(
    Method(
        "maccap_pass",
        "draws one",
        _maccap_pass,
        trainings=("maccap",),
        draws=True,
        style=OF_PREFIX,
    )
)
register(
    Method(
        "baseline",
        "reads the image's feature as if it were a text's",
        _baseline,
        trainings=("decap", "decap_same_decoder"),
        style=OF_PREFIX,
    )
)
register(
    Method(
        "capdec",
        "the same, trained with noise",
        _capdec,
        trainings=("capdec", "capdec_same_decoder"),
        style=OF_PREFIX,
    )
)
register(
    Method(
        "decap",
        "moves the feature among those of a memory of captions",
        _decap,
        trainings=("decap", "decap_same_decoder"),
        memory=True,
        style=OF_PREFIX,
    )
)
register(
    Method(
        "concepts",
        "reads the statements of the memory's captions that fit the image best",
        _concepts,
        trainings=("decap", "decap_same_decoder"),
        memory=True,
        style=OF_PREFIX,
    )
)
register(
    Method(
        "clipre",
        "repeats the nearest caption of a memory",
        _clipre,
        memory=True,
        language_model=False,
    )
)
register(Method("magic", "lets CLIP vote on every word", _magic, style=("prompt", "max_tokens")))
register(
    Method(
        "zerocap",
        "bends the language model's memory at every word",
        _zerocap,
        style=("prompt", "max_tokens", "beams"),
    )
)
register(
    Method(
        "socratic",
        "lets CLIP name things of a memory's captions, the language model say them in ten ways, "
        "and CLIP choose",
        _socratic,
        memory=True,
        draws=True,
        style=("max_tokens", "temperature"),
    )
)
