"""The two CLIPs of the full profile: which they are, and how one is loaded.

===============  ============================  ==================================================
environment      unless set                    role
===============  ============================  ==================================================
`VIZER_CLIP`     ViT-B-32/openai               studied; the CLIP of every method and reward
`VIZER_JUDGE`    ViT-B-32/laion2b_s34b_b79k    compared with it; scores captions, rewards none
===============  ============================  ==================================================

Each names an open_clip model, `name/tag`, or a folder as open_clip's models have on the hub, for a
machine that reaches none.
"""

from __future__ import annotations

from pathlib import Path

from vizer_core import env
from vizer_core.clip.encoder import OpenClipEncoder
from vizer_core.runtime import pick_device

FULL_MODELS = (env.CLIP.default, env.JUDGE.default)


def full_models() -> tuple[str, str]:
    """Return the studied CLIP and the judge: `VIZER_CLIP` and `VIZER_JUDGE`, or `FULL_MODELS`.

    >>> full_models()
    ('ViT-B-32/openai', 'ViT-B-32/laion2b_s34b_b79k')
    """
    studied = env.CLIP.get()
    judge = env.JUDGE.get()
    if studied == judge:
        raise ValueError(
            f"VIZER_CLIP and VIZER_JUDGE both name {judge}: wanted two models, or the one that "
            "chooses captions would also score them"
        )
    return studied, judge


def load_full_clip(model: str) -> OpenClipEncoder:
    """Load an open_clip model: `name/tag` from the cache or the hub, or a folder."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return OpenClipEncoder.from_folder(folder, device=pick_device())
    if model.startswith((".", "/", "~")):
        raise FileNotFoundError(f"no such folder: {model}. A name looks like {FULL_MODELS[0]}.")
    name, slash, tag = model.partition("/")
    if not (name and slash and tag):
        raise ValueError(
            f"model is {model!r}: wanted name/tag, for instance {FULL_MODELS[0]!r}, or a folder"
        )
    return OpenClipEncoder.from_pretrained(name, tag, device=pick_device())
