"""What the explorers hold: scenes with features, a CLIP's two towers, art to compose scenes from.

Arrays are packed as 8-bit integers with a scale, in base64. The scenes are the first of the test
split of the drawn world; nobody chose them. They are drawn with OpenMoji art, CC BY-SA 4.0.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

    from vizer_lab.studies.clip_study import Study

MODELS = ("drawn-clip", "drawn-clip-50", "drawn-clip-100")
LIVE = "drawn-clip"  # whose towers run in the page
SCENES, COLUMNS, WEBP = 200, 20, 72
ART_SIDE = 72
PALETTE = (
    *("dog", "cat", "horse", "elephant", "penguin", "parrot", "fish", "crab"),
    *("apple", "banana", "pizza", "cake", "car", "bus", "bicycle", "sailboat"),
    *("tree", "cactus", "mushroom", "umbrella", "guitar", "robot", "chair", "clock"),
)


def base64_of(values: np.ndarray) -> str:
    """Return the bytes of an array as text.

    >>> base64_of(np.array([1, 2], dtype=np.int8))
    'AQI='
    """
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def quantised(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round each row of a matrix to 8-bit integers; return them and the scale of every row.

    >>> whole, scale = quantised(np.array([[1.0, -2.0]], dtype=np.float32))
    >>> whole.tolist(), round(float(scale[0]) * 127, 3)
    ([[64, -127]], 2.0)
    """
    scale = np.maximum(np.abs(rows).max(axis=1), 1e-12) / 127
    whole = np.rint(rows / scale[:, None]).clip(-127, 127).astype(np.int8)
    return whole, scale.astype(np.float32)


def packed(values: Tensor) -> dict[str, Any]:
    """Pack a tensor: vectors as they are, everything else rounded by rows."""
    array = values.detach().float().numpy()
    if array.ndim < 2:
        return {"f": base64_of(array.reshape(-1).astype(np.float32))}
    whole, scale = quantised(array.reshape(len(array), -1))
    return {"q": base64_of(whole), "s": base64_of(scale)}


def webp(image: Image.Image, quality: int = WEBP) -> str:
    """Return an image as an address that holds it."""
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=quality, method=6)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"


def contact_sheet(images: list[Image.Image], columns: int = COLUMNS) -> Image.Image:
    """Put images of one size into rows of one large image."""
    side = images[0].width
    sheet = Image.new(images[0].mode, (columns * side, -(-len(images) // columns) * side))
    for place, image in enumerate(images):
        sheet.paste(image, (place % columns * side, place // columns * side))
    return sheet


def open_models() -> dict[str, Study]:
    """Open the scenes with each of the models."""
    from vizer_lab.studies.clip_study import open_drawn

    return {name: open_drawn(name, n=SCENES) for name in MODELS}


def scenes() -> dict[str, Any]:
    """Return the scenes: a sheet of images, a caption of each, both features by every model."""
    studies = open_models()
    one = studies[LIVE]
    images = [image.convert("RGB") for image in one.images]
    models = {}
    for name, study in studies.items():
        pair = {
            "x": study.encoder.image_states(study.images).image_features,
            "t": study.encoder.encode_text(list(study.texts)),
        }
        models[name] = {"scale": round(study.encoder.logit_scale, 1)} | {
            key: base64_of(quantised(features.detach().float().numpy())[0])
            for key, features in pair.items()
        }
    return {
        "n": len(images),
        "columns": COLUMNS,
        "side": images[0].width,
        "sheet": webp(contact_sheet(images)),
        "texts": list(one.texts),
        "models": models,
    }


def towers() -> dict[str, Any]:
    """Return both towers of the live CLIP and its words."""
    from vizer_lab.studies.clip_study import open_drawn
    from vizer_lab.zoo.tokenizer import vocabulary

    encoder = open_drawn(LIVE, n=1).encoder
    state = encoder.model.state_dict()
    return {
        "name": LIVE,
        "words": list(vocabulary("second")),
        "heads": encoder.model.visual.transformer.resblocks[0].attn.num_heads,
        "weights": {key: packed(value) for key, value in state.items() if key != "logit_scale"},
    }


def sprites() -> dict[str, Any]:
    """Return what scenes are composed from: drawings of objects, and every place of the world."""
    from vizer_lab.world.backgrounds import background
    from vizer_lab.world.lexicon import HOME_PLACES, KIND_BY_NAME
    from vizer_lab.world.sprites import art

    drawings = [
        art(KIND_BY_NAME[name].code).resize((ART_SIDE, ART_SIDE), Image.Resampling.BOX)
        for name in PALETTE
    ]
    places = [
        Image.fromarray((background(place.name, 0, 112) + 0.5).clip(0, 255).astype(np.uint8))
        for place in HOME_PLACES
    ]
    return {
        "names": list(PALETTE),
        "side": ART_SIDE,
        "sheet": webp(contact_sheet(drawings, len(drawings)), 85),
        "places": [[place.name, place.scene_noun] for place in HOME_PLACES],
        "backgrounds": webp(contact_sheet(places, len(places)), 85),
    }
