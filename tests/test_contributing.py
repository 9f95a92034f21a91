"""CONTRIBUTING's worked examples run as they stand, and do what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_vlm import TEXT, TILE, VOCABULARY, noise_images, tiny_smol, tiny_tokenizer

from vizer_core.decoding import Greedy
from vizer_core.runtime import seeded
from vizer_core.vizer.targets import shuffled
from vizer_core.vlm import VisionLanguageModel, load_vlm, loading
from vizer_lab.world import DrawnSplit

ROOT = Path(__file__).resolve().parents[1]
TEXT_OF = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = {
    title.splitlines()[0]: title
    for title in TEXT_OF.split("\n## Add something\n")[1].split("\n## ")[0].split("\n### ")[1:]
}


def run(title: str, **given: Any) -> dict[str, Any]:
    """Run the one program under a heading, with what it takes for granted."""
    (code,) = re.findall(r"```python\n(.*?)```", EXAMPLES[title], flags=re.DOTALL)
    names = {"__name__": "contributed", **given}
    exec(compile(code, f"CONTRIBUTING.md: {title}", "exec", dont_inherit=True), names)
    return names


def test_there_is_an_example_for_each_thing_that_is_added():
    assert list(EXAMPLES) == [
        "A captioner",
        "A metric",
        "An objective",
        "A family of vision-language models",
    ]


def named_places(title: str) -> tuple[set[str], set[str]]:
    """Return the files that an example's text names, and the names in capitals beside them."""
    prose = re.sub(r"```.*?```", "", EXAMPLES[title], flags=re.DOTALL)
    quoted = re.findall(r"`([^`]+)`", prose)
    files = {word for word in quoted if re.fullmatch(r"[\w/]+\.py", word)}
    return files, {word for word in quoted if re.fullmatch(r"[A-Z]+|\w+_of|used_by|missing", word)}


@pytest.mark.parametrize("title", EXAMPLES)
def test_what_else_has_to_change_is_where_the_page_says(title):
    files, names = named_places(title)
    found = [path for file in files for path in ROOT.glob(f"**/{file}") if ".venv" not in str(path)]
    assert {file for file in files if not any(str(p).endswith(f"/{file}") for p in found)} == set()
    sources = "\n".join(path.read_text(encoding="utf-8") for path in found)
    lost = {n for n in names if not re.search(rf"^(def )?{n}\b", sources, flags=re.MULTILINE)}
    assert files and lost == set()


def test_the_captioner_returns_the_caption_on_which_the_nearest_agree():
    images = [Image.fromarray(pixels) for pixels in DrawnSplit("second_test", 6).images]
    made = run("A captioner", images=images)
    assert set(made["captions"]) <= set(made["texts"]) and len(made["captions"]) == 6
    near = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    memory = made["MemoryBank"](("end", "middle", "other", "far"), near, "by hand")
    three = made["Consensus"](memory, k=3)
    assert three.caption(torch.tensor([[1.0, 0.0]]), generator=seeded(0)) == ["middle"]
    with pytest.raises(ValueError, match="consensus was made for features of width 2"):
        three.caption(torch.tensor([[1.0, 0.0, 0.0]]), generator=seeded(0))


def test_the_metric_is_scored_and_compared_as_the_packages_own():
    made = run("A metric")
    assert made["good"].per_image("opening").tolist() == [1, 1, 1]
    assert made["bad"].per_image("opening").tolist() == [0, 1, 0]
    assert made["difference"].mean == pytest.approx(2 / 3) and made["difference"].n == 3
    assert made["good"].signatures["opening"].startswith("function:contributed:opening|")


def test_the_objective_is_raised_on_images_without_captions():
    vlm = tiny_smol()
    made = run("An objective", vlm=vlm, images=noise_images(16))
    history = made["history"]
    assert len(history.reward) == 4 and np.isfinite(history.reward).all()
    assert any(norm > 0 for norm in history.gradient_norm)
    reward, captions = made["NoWordTwice"](), vlm.tokenize(["a dog a dog", "a red cat"])
    assert reward(made["source"], captions).tolist() == [0.5, 1.0]
    control = shuffled(made["source"], generator=seeded(3))
    again = made["train_adapter"](vlm, control, made["reward"], made["config"], generator=seeded(1))
    assert len(again.reward) == 4


@pytest.fixture
def llava(tmp_path):
    """A saved LLaVA of width 32 with random weights, and its processor, made offline."""
    import transformers as t

    tower = {
        **{"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3},
        **{"num_attention_heads": 2, "image_size": TILE, "patch_size": 4, "projection_dim": 16},
    }
    config = t.LlavaConfig(
        vision_config=t.CLIPVisionConfig(**tower),
        text_config=t.LlamaConfig(**TEXT),
        image_token_index=VOCABULARY.index("<image>"),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = t.LlavaForConditionalGeneration(config).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim > 1:
                    weight.normal_(std=0.25)
    square = {"height": TILE, "width": TILE}
    images = t.CLIPImageProcessor(size={"shortest_edge": TILE}, crop_size=square)
    processor = t.LlavaProcessor(
        images, tiny_tokenizer(), patch_size=4, vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )  # fmt: skip
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    return tmp_path


def test_the_family_loads_writes_and_reads_as_transformers_does(llava, monkeypatch):
    monkeypatch.setattr(loading, "FAMILIES", dict(loading.FAMILIES))
    images = noise_images(3)
    made = run("A family of vision-language models", folder=llava, images=images)
    vlm = made["vlm"]
    assert isinstance(vlm, VisionLanguageModel) and len(made["captions"]) == 3
    inputs = vlm.processor(images=[images[0]], text=["<image> a photo of"], return_tensors="pt")
    with torch.no_grad():
        wanted = vlm.base.model(**inputs, use_cache=False).last_hidden_state
        prefix = vlm.prefix(vlm.encode_image(images[:1]), prompt="<image> a photo of")
        found = vlm.run_text(prefix.embeddings, prefix.mask, prefix.positions)
    assert torch.equal(found, wanted)
    assert len(set(vlm.caption(images, decoding=Greedy(6)))) > 1  # the image is read
    with pytest.raises(ValueError, match=r"a llava: it has no image splitting.*takes no option"):
        load_vlm(llava, device="cpu", image_splitting=True)


def test_a_family_without_a_row_is_refused_with_those_that_have_one(llava):
    with pytest.raises(ValueError, match=r"is a 'llava': wanted one of \['idefics3', 'qwen2_5_vl'"):
        load_vlm(llava, device="cpu")
