"""Make the image at the head of README: scenes, and what three shipped captioners say of them.

    python -m tools.readme_image

The scenes are the first of the test split that hold three things or more; nobody chose them. The
captions are written with the defaults of `vizer caption`. The book's index shows the same as a
gallery, which a telephone can show too: `gallery_of` reads it from the image.
"""

from __future__ import annotations

import io
from base64 import b64decode
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from PIL import Image

if TYPE_CHECKING:
    from vizer_lab.figures.gallery import Gallery
    from vizer_lab.world import Scene

ROOT = Path(__file__).resolve().parents[1]
FILE = Path("book", "_static", "captions.svg")
SCENES, LEAST_THINGS = 3, 3


def scenes() -> list[Scene]:
    """Return the first scenes of the test split with three things or more."""
    from vizer_lab.world import make_scene

    every = (make_scene("second_test", number) for number in count())
    return list(islice((s for s in every if len(s.objects) >= LEAST_THINGS), SCENES))


def captions(images: list[Image.Image]) -> dict[str, list[str]]:
    """Caption images with MacCap, and with the VLM before and after training."""
    from vizer_core.captioners import MacCap, SampledMacCap, caption_images
    from vizer_core.files import load_manifest
    from vizer_core.runtime import seeded
    from vizer_core.shipped import shipped
    from vizer_core.textonly import GaussianNoise, PrefixGenerator, load_prefix_network
    from vizer_core.textonly.filtering import SMALL_DECODING
    from vizer_core.vizer import load_adapter

    path = shipped("captioner", "drawn-maccap")()
    clip = shipped("clip", "drawn-clip-50")("cpu")
    lm = shipped("language_model", "drawn-lm")("cpu")
    prefix_network = load_prefix_network(path, encoder=clip, language_model=lm)
    noise = GaussianNoise(load_manifest(path)["config"]["noise"]["variance"])
    one_pass = MacCap(PrefixGenerator(prefix_network, lm, SMALL_DECODING), noise=noise)
    maccap = SampledMacCap(one_pass, clip)
    vlm = shipped("vlm", "drawn-vlm-web")("cpu")
    said = {
        "MacCap": caption_images(maccap, clip, images, generator=seeded(0)),
        "VLM, before": vlm.caption(images),
    }
    load_adapter(vlm, shipped("adapter", "drawn-vlm-web-information")())
    return said | {"VLM, trained": vlm.caption(images)}


def image() -> str:
    """Return the image as SVG."""
    from vizer_lab.figures.marked import SIDE, draw_marked_captions
    from vizer_lab.world import drawn_lexicon, render_scene

    found = scenes()
    seen = [Image.fromarray(render_scene(scene)) for scene in found]
    shown = [Image.fromarray(render_scene(scene, SIDE)) for scene in found]
    truths = [scene.truth for scene in found]
    return draw_marked_captions(shown, truths, captions(seen), drawn_lexicon())


def gallery_of(svg: str) -> Gallery:
    """Return the scenes and the marked captions of the image as a gallery.

    Raises `ValueError` if the image has not every system beside every scene.
    """
    from vizer_lab.figures.gallery import Gallery

    scenes, said = [], {}
    for mark in ElementTree.fromstring(svg):
        if mark.tag.endswith("image"):
            scenes.append(Image.open(io.BytesIO(b64decode(mark.attrib["href"].partition(",")[2]))))
        elif mark.tag.endswith("text") and len(mark) == 0:
            system = str(mark.text)
        elif mark.tag.endswith("text"):
            said.setdefault(system, []).append([(str(span.text), _verdict(span)) for span in mark])
    if not said or {len(captions) for captions in said.values()} != {len(scenes)}:
        raise ValueError(f"{len(scenes)} scenes, captions of {sorted(said)}: wanted one each")
    return Gallery(scenes, said)


def _verdict(span: ElementTree.Element) -> bool | None:
    if "text-decoration" in span.attrib:
        return False
    return True if "font-weight" in span.attrib else None


def captions_markdown(root: Path) -> str:
    """Return the gallery of the book's index, as HTML with a caption."""
    shown = gallery_of((root / FILE).read_text(encoding="utf-8"))._repr_html_()
    return (
        f'<figure>\n{shown}\n<figcaption><p><span class="caption-text">Three scenes, captioned from'
        " text alone and by a vision-language model before and after training without labels. A"
        " thing or place that is there is blue and bold, one that is not is struck through.</span>"
        "</p></figcaption>\n</figure>"
    )


if __name__ == "__main__":
    (ROOT / FILE).write_text(image(), encoding="utf-8")
    print(f"wrote {FILE}")
