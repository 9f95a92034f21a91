"""From names to models: a shipped model's name, a hub id, a folder, or open_clip's name and tag.

================  ================================================  ============================
function          names                                             gives
================  ================================================  ============================
`load_clip`       `drawn-clip-50`, `ViT-B-32/openai`, a folder      an image and text encoder
`load_lm`         `drawn-lm`, `smollm2-135m`, `facebook/opt-125m`   a causal language model
`load_vlm`        `drawn-vlm-web`, `HuggingFaceTB/SmolVLM-Base`     a vision-language model
`load_captioner`  `drawn-maccap`, what was trained, a method        a captioner with its encoder
================  ================================================  ============================

Shipped models are small and know drawn scenes only; they load in a second. `smollm2-135m` is real
and comes with a wheel (`vizer_core.wheels`). Others come from the local cache or the hub. Under
torchrun with an FSDP configuration language models and vision-language models are loaded on the
CPU and cut over the processes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizer_core.decoding import Style
from vizer_core.runtime import pick_device
from vizer_core.shipped import shipped, shipped_names

if TYPE_CHECKING:
    import torch

    from vizer_core.captioners.protocol import ImageCaptioner
    from vizer_core.clip import ImageTextEncoder
    from vizer_core.language import CausalLM, TextForm
    from vizer_core.vlm import Qwen2Vl, SmolVlm

logger = logging.getLogger(__name__)
DRAWN_CLIP, DRAWN_LM, DRAWN_VLM = "drawn-clip-50", "drawn-lm", "drawn-vlm-web"
DRAWN_CORPUS = "drawn-home"
DTYPES = ("auto", "float32", "bfloat16", "float16")
WEIGHTS = frozenset((".safetensors", ".pt", ".pth", ".bin"))
MEMORY = 20_000  # captions
CAPTIONER = "captioner.safetensors"  # the trained part's name in a folder


class UnusedSettingError(ValueError):
    """A setting that would change nothing: what it belongs to is somewhere else."""


def load_clip(
    name: str = DRAWN_CLIP,
    *,
    pretrained: str | None = None,
    quick_gelu: bool = False,
    device: str = "auto",
) -> ImageTextEncoder:
    """Load a CLIP: a shipped one, open_clip's `name/tag`, a folder, or a file of weights.

    A folder of the hub is named `hf-hub:OWNER/NAME`, as open_clip does.

    `pretrained` is open_clip's tag where the name has none, or a file of weights for that model.
    `quick_gelu` is for weights in a file or a folder that descend from OpenAI's; elsewhere it
    raises `UnusedSettingError`, since shipped models and tags say themselves which activation it
    is. So does `pretrained` with a shipped model's name. Raises `FileNotFoundError` where there is
    no such folder, and `ValueError` on a name without a tag.
    """
    place, ours = pick_device(device), shipped_names("clip")
    if name == "drawn" or name in ours:
        _require_own_activation(quick_gelu, "the drawn CLIP has")
        if name in ours and pretrained is not None:
            raise UnusedSettingError(
                f"{name} is shipped with its weights: leave pretrained={pretrained!r} out"
            )
        return shipped("clip", (pretrained or DRAWN_CLIP) if name == "drawn" else name)(str(place))
    from vizer_core.clip import OpenClipEncoder
    from vizer_core.clip.loading import folder_of_scheme, require_plain_name

    if pretrained is None and (folder := folder_of_scheme(name)) is not None:
        return OpenClipEncoder.from_folder(folder, quick_gelu=quick_gelu, device=place)
    if Path(name).is_dir():
        if pretrained is not None:
            raise ValueError(
                f"{name} is a folder with weights of its own: leave pretrained={pretrained!r} out"
            )
        return OpenClipEncoder.from_folder(name, quick_gelu=quick_gelu, device=place)
    if name.startswith((".", "/", "~")):
        raise FileNotFoundError(f"no such folder: {name}. An open_clip name looks like ViT-B-32.")
    _require_no_slip("clip", name)
    require_plain_name(name)
    if pretrained is None and name.count("/") == 1:
        name, _, pretrained = name.partition("/")
    if not pretrained:
        raise ValueError(
            f"the CLIP {name!r} wants pretrained=TAG (such as openai) or a file of weights; "
            f"or name both, {name}/TAG"
        )
    if Path(pretrained).suffix in WEIGHTS or Path(pretrained).is_file():
        return OpenClipEncoder.from_checkpoint(
            name, Path(pretrained), quick_gelu=quick_gelu, device=place
        )
    _require_own_activation(quick_gelu, f"the tag {pretrained} says")
    return OpenClipEncoder.from_pretrained(name, pretrained, device=place)


def is_shipped(encoder: ImageTextEncoder) -> bool:
    """Say whether a CLIP is a shipped one: methods have settings of their own for those."""
    return encoder.name in shipped_names("clip")


def load_lm(
    name: str = DRAWN_LM,
    *,
    device: str = "auto",
    dtype: str = "auto",
    form: TextForm | None = None,
) -> CausalLM:
    """Load a causal language model: a shipped one, `smollm2-135m`, a hub id, a folder, a GGUF file.

    `dtype` is auto (float32), float32, bfloat16 or float16. `form` is how texts begin and end; the
    name's own unless given. Raises `ValueError` where a shipped model, which is float32, is given
    any dtype, `UnusedSettingError` where it is given a form, and
    `ImportError` that says what to install where `smollm2-135m` or `gguf` is missing.
    """
    place, wanted = pick_device(device), _dtype(dtype)
    sharded = _start(place)
    load_on = "cpu" if sharded else str(place)
    if name in shipped_names("language_model"):
        _require_auto(dtype, name)
        if form is not None:
            raise UnusedSettingError(f"{name} is shipped with its form of texts: leave form= out")
        lm = shipped("language_model", name)(load_on)
    else:
        import torch

        from vizer_core.language import CausalLM

        _require_no_slip("language_model", name)
        exact = wanted or torch.float32
        lm = CausalLM.from_pretrained(name, device=load_on, dtype=exact, form=form)
    return _shard(lm, place) if sharded else lm


def load_vlm(
    name: str = DRAWN_VLM,
    *,
    adapter: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    prompt: str | None = None,
    **reading: Any,
) -> SmolVlm | Qwen2Vl:
    """Load a vision-language model: a shipped one, a hub id, or a folder; and its LoRA adapter.

    `adapter` is a folder from `enhance`, or a shipped one's name. `dtype` auto is bfloat16 on a GPU
    that has it. `prompt` is what the model is asked from here on; without one an adapter's own, an
    instruct checkpoint's chat template, or the image alone. `reading` is how a checkpoint is read:
    image_splitting, max_pixels, four_bit (`vlm.loading.load_vlm`); what is not given is as the
    adapter was trained. Called with images the model captions them: `vlm(images)`. Raises
    `ValueError` where an adapter belongs to another model, or to this one in another precision, and
    where a shipped model is to be read otherwise.
    """
    lora = None if adapter is None else adapter_of(adapter)  # first: it may not be there
    reading = reading if lora is None else adapter_reading(lora) | reading
    place, wanted = pick_device(device), _dtype(dtype)
    sharded = _start(place)
    load_on = "cpu" if sharded else str(place)
    if name in shipped_names("vlm"):
        _require_auto(dtype, name)
        if asked := [option for option, value in reading.items() if value]:
            raise UnusedSettingError(f"{name} is shipped as it is: leave {', '.join(asked)} out")
        vlm = shipped("vlm", name)(load_on)
    else:
        _require_no_slip("vlm", name)
        from vizer_core import vlm as models
        from vizer_core.vlm.pretrained import auto_dtype

        # where it runs, not where it is loaded
        exact = wanted or auto_dtype(place)
        vlm = models.load_vlm(name, device=load_on, dtype=exact, **reading)
    if sharded:
        vlm = _shard(vlm, place)
    if lora is not None:
        from vizer_core.vizer import load_adapter

        require_dtype(lora, vlm)
        load_adapter(vlm, lora)
    vlm.default_prompt = vlm.prompt_of(prompt)
    return vlm


def load_captioner(
    name: str | Path,
    *,
    clip: ImageTextEncoder | None = None,
    lm: Any = None,
    trained: Path | None = None,
    memory: str | Sequence[str] | None = None,
    style: Style | None = None,
) -> ImageCaptioner:
    """Load a captioner with the CLIP that it reads images through; call it with images.

    `name` is what `train_captioner` wrote, a folder or its file; a shipped trained part, such as
    `drawn-maccap`; or a method, such as `clipre` or `zerocap` (`captioners.registry.METHODS`),
    where `trained` may name its file. Models that are not given are those that the trained part was
    made with, by name; a method without one takes the drawn ones. `memory` are the
    captions that clipre, concepts, decap and socratic look into, or a corpus: at most 20,000 of it;
    drawn-home unless given.

    Raises `FileNotFoundError` if there is nothing of that name, and `ValueError` where a trained
    part was made with other models.
    """
    from vizer_core.captioners.protocol import CaptionerWithEncoder
    from vizer_core.captioners.registry import METHODS, Parts, captioner_of
    from vizer_core.data.corpus import load_corpus

    method = str(name)
    if method not in METHODS:
        if trained is not None:
            raise ValueError(f"{name} is a trained part itself: leave trained={trained} out")
        trained = _trained_part(name)
        method = _method_of(trained)
    made_with = _models_of(trained)
    clip = load_clip(made_with[0]) if clip is None else clip
    lm = load_lm(made_with[1]) if lm is None and METHODS[method].language_model else lm
    texts: Sequence[str] = ()
    if METHODS[method].memory:
        memory = DRAWN_CORPUS if memory is None else memory
        texts = load_corpus(memory, MEMORY).captions if isinstance(memory, str) else memory
    parts = Parts(trained, texts, small=is_shipped(clip))
    return CaptionerWithEncoder(captioner_of(method, clip, lm, parts, style), clip)


def adapter_of(name: str | Path) -> Path:
    """Return the folder of a LoRA adapter: a path, or the name of a shipped one.

    Raises `FileNotFoundError` where there is neither, and `ValueError` on a folder that does not
    say which base it fits.
    """
    name = str(name)
    if name in shipped_names("adapter") and not Path(name).is_dir():
        return shipped("adapter", name)()
    if not Path(name).is_dir():
        raise FileNotFoundError(
            f"no adapter folder {name}: train one with vizer enhance --out FOLDER, or name a "
            f"shipped one: {', '.join(shipped_names('adapter'))}"
        )
    if not (Path(name) / "vizer.json").is_file() and (Path(name) / "adapter_config.json").is_file():
        raise ValueError(
            f"{name} is a PEFT adapter without vizer's manifest (vizer.json), so nothing says "
            "which base it fits: merge it into its base with peft's merge_and_unload, save that, "
            "and load that folder as the model"
        )
    return Path(name)


def adapter_reading(adapter: Path) -> dict[str, Any]:
    """Return how the model was read while an adapter was trained; nothing where as always."""
    from vizer_core.files import read_record
    from vizer_core.vizer.lora import MANIFEST

    return dict(read_record(adapter / MANIFEST).get("reading", {}))


def dtype_of(model: Any) -> str:
    """Return the precision of a model's weights, as `dtype=` names it."""
    return str(next(model.model.parameters()).dtype).removeprefix("torch.")


def require_dtype(adapter: Path, vlm: Any) -> None:
    """Raise `ValueError` if an adapter was trained on the model in another precision.

    A model's fingerprint depends on it, so that the adapter would seem to fit another model.
    """
    from vizer_core.files import METADATA, read_record

    record = read_record(adapter / "vizer.json")
    metadata = record.get(METADATA)
    trained = metadata.get("dtype") if isinstance(metadata, dict) else None
    if trained is not None and trained != dtype_of(vlm):
        raise ValueError(
            f"{adapter} was trained on {record.get('vlm')!r} in {trained}, this model is loaded in "
            f"{dtype_of(vlm)}: give dtype={trained!r}"
        )


def trained_file(out: str | Path) -> Path:
    """Return the file of a trained captioner: itself, or the one in a folder.

    >>> trained_file("mine.safetensors").name, trained_file("mine/").name
    ('mine.safetensors', 'captioner.safetensors')
    """
    out = Path(out)
    return out if out.suffix == ".safetensors" else out / CAPTIONER


def _trained_part(name: str | Path) -> Path:
    """Return the file of a trained captioner: a path, or a shipped one's name."""
    from vizer_core.captioners.registry import METHODS

    if str(name) in shipped_names("captioner") and not Path(name).exists():
        return shipped("captioner", str(name))()
    file = trained_file(name)
    if not file.is_file():
        raise FileNotFoundError(
            f"no captioner {name}: wanted what train_captioner wrote, a shipped one "
            f"({', '.join(shipped_names('captioner'))}) or a method ({', '.join(METHODS)})"
        )
    return file


def _method_of(trained: Path) -> str:
    """Return the method whose training made a file; shipped ones say it in their name."""
    from vizer_core.captioners.registry import METHODS
    from vizer_core.files import load_manifest

    method = str(load_manifest(trained).get("method", "")).removesuffix("_same_decoder")
    if not method:  # drawn-maccap
        method = f"{trained.stem}-".split("-")[1]
    if method not in METHODS or not METHODS[method].trainings:
        raise ValueError(
            f"{trained} does not say which method it was trained for: name the method, such as "
            f"load_captioner('maccap', trained={str(trained)!r})"
        )
    return method


def _models_of(trained: Path | None) -> tuple[str, str]:
    """Return the names of the CLIP and the language model that a file was trained with."""
    from vizer_core.files import load_manifest

    if trained is None:
        return DRAWN_CLIP, DRAWN_LM
    made_for = load_manifest(trained)
    return made_for["clip"]["name"], made_for["language_model"]["name"]


def _start(place: torch.device) -> bool:
    """Join the other processes; say whether they are to share the model's weights."""
    from vizer_core.distributed import start_processes
    from vizer_core.sharding import sharding_asked

    start_processes(place)
    return sharding_asked()


def _shard(model: Any, place: torch.device) -> Any:
    """Cut a model over the processes, and tell the log what this leaves in each."""
    held = model.shard(place)
    logger.warning(
        "sharded (FSDP): each process has %s of %s MiB of the model",
        f"{held.here / 2**20:,.1f}",
        f"{held.whole / 2**20:,.1f}",
    )
    return model


def _require_own_activation(quick_gelu: bool, whose: str) -> None:
    if quick_gelu:
        raise UnusedSettingError(
            f"quick_gelu is for weights in a file or a folder, {whose} which activation it is: "
            "leave it out"
        )


def _require_no_slip(kind: str, name: str) -> None:
    """Raise `ValueError` where a name begins as those of shipped models do and is none of them.

    The hub would be asked for it, and its answer would not say which ones are shipped.
    """
    ours = shipped_names(kind)
    stems = tuple(f"{stem}-" for stem in sorted({each.split("-")[0] for each in ours}))
    if "/" in name or not name.startswith(stems) or Path(name).exists():
        return
    what = {"clip": "CLIP", "language_model": "language model", "vlm": "VLM"}[kind]
    raise ValueError(f"no shipped {what} {name!r}: wanted one of {', '.join(ours)}")


def _require_auto(dtype: str, model: str) -> None:
    if dtype != "auto":
        raise ValueError(f"{model} is shipped in float32: leave dtype={dtype!r} out")


def _dtype(name: str) -> Any:
    """Return the torch dtype of a name, or None for auto."""
    import torch

    if name not in DTYPES:
        raise ValueError(f"dtype is {name!r}: wanted one of {', '.join(DTYPES)}")
    return None if name == "auto" else getattr(torch, name)
