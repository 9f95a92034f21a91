"""From a name, a tag or a file to an open_clip model: no random weights, no silent choices.

open_clip's own factory warns where it should stop: it builds a randomly initialised model when
nothing was loaded, and OpenAI's weights run with the wrong activation under the plain names
(they were trained with QuickGELU, x * sigmoid(1.702 x); the tag says so, the name does not).
Here the activation follows the tag or the name, whichever asks for it (of all that open_clip lists,
only roberta-ViT-B-32 says it by its name alone), and whatever cannot be loaded raises.
"""

from __future__ import annotations

import copy
import difflib
import os
import pickle
import socket
import urllib.request
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn

from vizer_core.clip.protocol import Tokenizer
from vizer_core.clip.text_tower import causal_tower, vocabulary_size
from vizer_core.files import read_json

Preprocess = Callable[[Image.Image], Tensor]

OPENAI_VOCABULARY = 49408  # size of CLIP's own byte-pair vocabulary, which open_clip ships
SCHEMES = ("hf-hub", "local-dir")
OPENAI_MARKS = {"input_resolution", "context_length", "vocab_size"}  # in OpenAI's own archives
FOLDER_CONFIG = "open_clip_config.json"
FOLDER_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def require_plain_name(name: str) -> None:
    """Raise `ValueError` on open_clip's names with a scheme, and say what to give instead.

    >>> require_plain_name("ViT-B-32")
    """
    scheme, colon, place = name.partition(":")
    if colon and scheme in SCHEMES:
        what = "a hub repository" if scheme == "hf-hub" else "a folder"
        raise ValueError(
            f"{name!r} is open_clip's way to name {what}, with a configuration and weights of its "
            f"own: load_clip({name!r}) reads it without a tag (in Python "
            f"OpenClipEncoder.from_folder({place!r}) a folder)"
        )


def folder_of_scheme(name: str) -> Path | None:
    """Return the folder that `hf-hub:OWNER/NAME` or `local-dir:FOLDER` means; None of other names.

    A repository comes from the local cache or the hub, no more of it than is read. Raises
    `FileNotFoundError` where there is none.
    """
    scheme, colon, place = name.partition(":")
    if not colon or scheme not in SCHEMES:
        return None
    if scheme == "local-dir":
        return Path(place)
    from huggingface_hub import snapshot_download

    from vizer_core.hub_errors import explained, reachable

    wanted = [FOLDER_CONFIG, *FOLDER_WEIGHTS[:1], "*.json", "*.txt", "*.model"]
    ask = reachable(place)
    try:
        folder = Path(snapshot_download(place, allow_patterns=wanted, local_files_only=not ask))
        if not (folder / FOLDER_WEIGHTS[0]).is_file():  # older repositories have no safetensors
            wanted.append(FOLDER_WEIGHTS[1])
            folder = Path(snapshot_download(place, allow_patterns=wanted, local_files_only=not ask))
    except (OSError, ValueError) as error:
        raise explained(place, error) from error
    return folder


def model_config(name: str) -> dict[str, Any]:
    """Return the configuration open_clip has under `name`, or say which names are near."""
    import open_clip

    require_plain_name(name)
    config = open_clip.get_model_config(name) if name in open_clip.list_models() else None
    if config is None:
        names = {known.lower(): known for known in open_clip.list_models()}
        near = difflib.get_close_matches(name.lower(), names, n=4, cutoff=0.5)
        listed = ", ".join(names[key] for key in near) or "none is near"
        raise ValueError(
            f"open_clip has no model {name!r}; near names: {listed}. "
            "open_clip.list_models() lists all, or pass a configuration as a mapping."
        )
    return config


def tag_config(name: str, tag: str) -> dict[str, Any]:
    """Return what open_clip knows about the weights `tag` of model `name`."""
    import open_clip

    config = open_clip.get_pretrained_cfg(name, tag)
    if not config:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise ValueError(
            f"model {name!r} has no pretrained tag {tag!r}; its tags: {tags}. "
            "For weights in a file use OpenClipEncoder.from_checkpoint."
        )
    return config


def folder_config(folder: Path) -> dict[str, Any]:
    """Read `open_clip_config.json`: the model's configuration, and its preprocessing."""
    folder = Path(folder)
    path = folder / FOLDER_CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} has no {FOLDER_CONFIG}: wanted a folder as open_clip's models have on the "
            f"hub, with {FOLDER_CONFIG} and {FOLDER_WEIGHTS[0]}. transformers' own CLIP folders "
            "are another format."
        )
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("model_cfg"), dict):
        raise ValueError(f'{path} has no "model_cfg": wanted open_clip\'s {{"model_cfg": {{...}}}}')
    return content


def folder_weights(folder: Path) -> Path:
    """Return the file of weights in a folder, safetensors first."""
    found = [Path(folder) / name for name in FOLDER_WEIGHTS if (Path(folder) / name).is_file()]
    if not found:
        raise FileNotFoundError(f"{folder} has no weights: wanted {' or '.join(FOLDER_WEIGHTS)}")
    return found[0]


def fetch_weights(name: str, tag: str) -> Path:
    """Return the file of pretrained weights, from the local cache or the hub.

    Raises `FileNotFoundError` at once when the file is not cached and the hub has no address
    here, instead of after a minute of retries.
    """
    import open_clip

    config = tag_config(name, tag)
    cached = _cached(config.get("hf_hub", ""))
    if cached is not None:
        return cached
    quick_gelu = bool(config.get("quick_gelu") or model_config(name).get("quick_gelu"))
    advice = (
        "Run this once where the hub can be reached, or copy the weights here and use "
        f"OpenClipEncoder.from_checkpoint({name!r}, PATH, quick_gelu={quick_gelu})."
    )
    missing = f"the weights {tag!r} of {name!r} are not on this machine and could not be downloaded"
    if config.get("hf_hub"):
        from huggingface_hub import constants

        host = urlparse(constants.ENDPOINT).hostname or ""
        if constants.HF_HUB_OFFLINE or not (urllib.request.getproxies() or _has_address(host)):
            raise FileNotFoundError(f"{missing}: {host} is out of reach. {advice}")
    try:
        return Path(open_clip.download_pretrained(config))
    except (OSError, RuntimeError, ValueError) as error:
        raise FileNotFoundError(f"{missing}: {error} {advice}") from error


def build_model(config: Mapping[str, Any]) -> nn.Module:
    """Build the architecture that `config` describes; its weights are random until loaded."""
    import open_clip

    settings = copy.deepcopy(dict(config))
    missing = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in settings]
    if missing:
        raise ValueError(
            f"the model configuration lacks {missing}: got {sorted(settings)}, wanted open_clip's "
            "embed_dim, vision_cfg and text_cfg"
        )
    custom = settings.pop("custom_text", False)
    if "timm_model_name" in settings["vision_cfg"]:
        settings["vision_cfg"]["timm_model_pretrained"] = False
    if "hf_model_name" in settings["text_cfg"]:
        custom, settings["text_cfg"]["hf_model_pretrained"] = True, False
    if "multimodal_cfg" in settings:
        return open_clip.CoCa(**settings)
    return (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**settings)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a `.safetensors` or weights-only `.pt` file into the model, every key of it."""
    import open_clip

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}: wanted a .safetensors or .pt file")
    try:
        if _is_torchscript(path):
            _load_torchscript(model, path)
            return
        open_clip.load_checkpoint(model, str(path), strict=True, weights_only=True)
    except (RuntimeError, KeyError, AssertionError) as error:
        if isinstance(error, KeyError) and not isinstance(error.args[0], str):
            raise ValueError(f"{path} is not a readable checkpoint: no pickle") from error
        first = " ".join(str(error).split())[:400]
        raise ValueError(
            f"{path} does not fit the model: {first}. Was it trained with this configuration?"
        ) from error
    except (SafetensorError, pickle.UnpicklingError, EOFError, IndexError, ValueError) as error:
        raise ValueError(
            f"{path} is not a readable checkpoint (safetensors, or .pt with tensors only): "
            f"{' '.join(str(error).split())[:400]}"
        ) from error
    except (AttributeError, TypeError, StopIteration) as error:
        raise ValueError(
            f"{path} contains no weights by name: wanted what torch.save(model.state_dict(), PATH) "
            f"writes ({type(error).__name__}: {error})"
        ) from error


def _load_torchscript(model: nn.Module, path: Path) -> None:
    """Take the weights out of a TorchScript archive, as OpenAI's own files are; nothing is run.

    OpenAI's are in float16, with three numbers beside them, and were trained with QuickGELU.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that torch.jit is on its way out
        weights = dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    if weights.keys() >= OPENAI_MARKS:
        if not any(type(part).__name__ == "QuickGELU" for part in model.modules()):
            raise ValueError(
                f"{path} is OpenAI's own archive, trained with QuickGELU: give quick_gelu=True "
                "(--quick-gelu), or the tag, pretrained='openai'"
            )
        weights = {key: value for key, value in weights.items() if key not in OPENAI_MARKS}
    kept = {key: value.float() if value.is_floating_point() else value
            for key, value in weights.items()}  # fmt: skip
    model.load_state_dict(kept, strict=True)


def _is_torchscript(path: Path) -> bool:
    """Say whether torch.jit wrote a file: a zip archive with its constants in one of their own."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def preprocess_for(model: nn.Module, settings: Mapping[str, Any]) -> Preprocess:
    """Make the inference transform: resize, crop, scale; CLIP's mean and std unless given."""
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

    merged = merge_preprocess_dict(PreprocessCfg(), dict(settings))
    merged["size"] = model.visual.image_size
    return image_transform_v2(PreprocessCfg(**merged), is_train=False)


def _has_address(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, 443))
    except OSError:
        return False


def _cached(hub_entry: str) -> Path | None:
    """Look for the weights in the hub's local cache, safetensors first."""
    from huggingface_hub import try_to_load_from_cache

    repository, filename = os.path.split(hub_entry)
    if not repository:
        return None
    names = [filename] if filename else ["open_clip_pytorch_model.bin"]
    names.insert(
        0, f"{Path(filename).stem}.safetensors" if filename else "open_clip_model.safetensors"
    )
    for name in names:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def bundled_tokenizer(name: str, model: nn.Module) -> Tokenizer:
    """Return the tokenizer that belongs to a named model, one position wider than its context.

    The spare position is how an over-long caption shows: its end token lands there. Of a folder,
    named `local-dir:FOLDER` as open_clip has it, the tokenizer is the one that its configuration
    asks for.
    """
    import open_clip

    if name.startswith("local-dir:"):
        settings = folder_config(Path(name.removeprefix("local-dir:")))["model_cfg"]
        config = settings if settings.get("text_cfg", {}).get("hf_tokenizer_name") else None
    else:
        config = open_clip.get_model_config(name) if name else None
    vocabulary = vocabulary_size(model)
    if config is None and vocabulary != OPENAI_VOCABULARY:
        raise ValueError(
            f"the model has {vocabulary} token ids, not CLIP's own {OPENAI_VOCABULARY}: "
            "pass tokenizer=, a callable from a list of texts to a LongTensor of ids"
        )
    causal = causal_tower(model)
    width = int(model.context_length) + (1 if causal is not None else 0)
    try:
        return open_clip.get_tokenizer(name, context_length=width)
    except (OSError, ImportError) as error:
        raise FileNotFoundError(
            f"the tokenizer of {name!r} is not on this machine and could not be downloaded: "
            f"{error}. Run this once where the hub can be reached, or pass your own: "
            "OpenClipEncoder.from_checkpoint(..., tokenizer=...)."
        ) from error
