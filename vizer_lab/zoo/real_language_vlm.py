"""A vision-language model of the drawn world whose language half is real: SmolLM2-135M.

An `Idefics3ForConditionalGeneration` like SmolVLM-256M, of three parts:

==============  ==================================================================================
tower           a trained VLM's of the drawn world, frozen
connector       pixel shuffle and one linear layer, trained here
language model  SmolLM2-135M-Instruct (`vizer_core.wheels`), frozen under LoRA on its attention
==============  ==================================================================================

A step costs two and a half CPU seconds, so training starts where it can: the connector begins as
the linear map that best turns a block of patches into the embedding of the words for what is on
them (least squares; the labels at every patch taught the tower, too).

Only connector and LoRA are stored, 4.3 MB in half precision. Tower and language model are found by
name and held to the digests in the manifest; LoRA is merged into the weights on loading, so that
the model is a plain one for captions, adapters and `save_pretrained`.

Traps. SmolLM2's texts start with `<|endoftext|>` and end with `<|im_end|>` (`text_form`). Idefics3
wants four marks that SmolLM2 has no rows for; a copied row, such as the end mark's for
`<end_of_utterance>`, shares its probability and captions do not end, so the rows are near the mean
of the table, where no word is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm

from vizer_core.files import load_tensors, save_tensors, sha256_file
from vizer_core.language.fast_linear import fast_linears
from vizer_core.language.loading import LoadedModel, load_causal_lm
from vizer_core.language.text_form import TextForm, form_of
from vizer_core.runtime import require, seeded
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vlm import SmolVlm, VisionBatch
from vizer_core.vlm.language_side import fingerprint_of
from vizer_core.vlm.modules import ATTENTION_PROJECTIONS
from vizer_lab.world.world import make_scene, objects_of, places_of, split_in
from vizer_lab.zoo.noisy_captions import caption_draw, exact_caption
from vizer_lab.zoo.shipped_model import WEIGHTS, named
from vizer_lab.zoo.step_checkpoint import UNWATCHED, Watch
from vizer_lab.zoo.vlm_model import DrawnVlmConfig, vision_sizes
from vizer_lab.zoo.vlm_processor import FAKE, GLOBAL, IMAGE, TURN_END, processor_of
from vizer_lab.zoo.vlm_recipe import VlmStage
from vizer_lab.zoo.vlm_train import patches_of_scenes, visits_of
from vizer_lab.zoo.vlm_vision import IGNORED, dense_labels
from vizer_lab.zoo.vlms import VLMS, vlm_from_state

WORLD = "second"
SHIPPED = WEIGHTS / "real" / "drawn-vlm-real.safetensors"  # not a `ShippedModel`: it needs a wheel
MARKS = (FAKE, IMAGE, TURN_END, GLOBAL)
CONNECTOR = "model.connector.modality_projection.proj.weight"
SPREAD = 0.1  # of new rows around the mean row, as a share of the table's own
RIDGE = 1e-2  # of the mean square of the patches
STARTS = ("words", "fresh")


@dataclass(frozen=True)
class RealLanguageRecipe:
    """What the model is made of, and how it is trained: exact captions of the first `scenes`.

    `connector` is what its training starts from: `words` (least squares) or `fresh`.
    """

    tower: str = "drawn-vlm-plain"
    language_model: str = "smollm2-135m"
    lora: LoraSettings = field(
        default_factory=lambda: LoraSettings(rank=16, alpha=32, projections=ATTENTION_PROJECTIONS)
    )
    exact: VlmStage = field(
        default_factory=lambda: VlmStage("exact", steps=800, batch=16, learning_rate=1e-3)
    )
    scenes: int = 12_800
    connector: str = "words"
    fitted: int = 2000  # scenes of the least squares
    seed: int = 0

    def __post_init__(self) -> None:
        if self.connector not in STARTS:
            raise ValueError(f"connector={self.connector!r}: wanted one of {STARTS}")

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values, for a manifest."""
        plain = asdict(self)
        return plain | {"lora": plain["lora"] | {"projections": list(self.lora.projections)}}


def assemble(eye: SmolVlm, config: DrawnVlmConfig, lm: LoadedModel, start_mark: str) -> SmolVlm:
    """Put the tower of a VLM of these sizes in front of a Llama; the connector is fresh.

    Raises `ValueError` where the language model is no Llama, which is what Idefics3 reads with.
    """
    transformers = require("transformers", why="a VLM with a real language half")
    if lm.model.config.model_type != "llama":
        raise ValueError(
            f"the language model is a {lm.model.config.model_type!r}: Idefics3 reads with a Llama"
        )
    tokenizer = lm.tokenizer
    if start_mark not in tokenizer.get_vocab():
        raise ValueError(f"the tokenizer has no start mark {start_mark!r}")
    tokenizer.bos_token = start_mark
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKS)})
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    tied = bool(lm.model.config.tie_word_embeddings)
    text = lm.model.config.to_dict() | ids | {"vocab_size": len(tokenizer)}
    whole = transformers.Idefics3Config(
        text_config=transformers.LlamaConfig(**text),
        vision_config=vision_sizes(config),
        scale_factor=config.shuffle,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        tie_word_embeddings=tied,
        **ids,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.Idefics3ForConditionalGeneration(whole)
    words = lm.model.model.state_dict()
    words["embed_tokens.weight"] = longer(words["embed_tokens.weight"], len(tokenizer))
    model.model.text_model.load_state_dict(words)
    if not tied:
        head = longer(lm.model.lm_head.weight.detach(), len(tokenizer))
        model.lm_head.load_state_dict({"weight": head})
    model.model.vision_model.load_state_dict(eye.base.model.vision_model.state_dict())
    model.generation_config = transformers.GenerationConfig(**ids)
    processor = processor_of(tokenizer, config.image_tokens, config.image_size)
    return SmolVlm(model.eval(), processor, "real-language-vlm", default_prompt=start_mark + IMAGE)


def longer(table: Float[Tensor, "v h"], rows: int) -> Float[Tensor, "v2 h"]:
    """Return a table of embeddings with new rows near its mean, none of them a copy.

    >>> longer(torch.ones(3, 2), 5).shape
    torch.Size([5, 2])
    """
    drawn = torch.randn(rows - len(table), table.shape[1], generator=seeded(0))
    spread = table.std(dim=0, correction=0)
    return torch.cat([table, table.mean(dim=0) + SPREAD * spread * drawn])


def build(recipe: RealLanguageRecipe, folder: Path = WEIGHTS) -> SmolVlm:
    """Load tower and language model and join them: no LoRA, and the recipe's start of connector.

    `folder` contains the tower's model.
    """
    eye, config = load_tower(recipe.tower, folder)
    lm = load_causal_lm(recipe.language_model)
    form: TextForm = form_of(recipe.language_model)
    start = form.start_mark or lm.tokenizer.bos_token
    vlm = assemble(eye, config, lm, start)
    connector = vlm.base.model.connector
    with torch.no_grad():
        if recipe.connector == "words":
            scenes = range(recipe.fitted)
            patches = patches_of_scenes(
                vlm.base.model.vision_model, 0, recipe.fitted, size=config.image_size, world=WORLD
            )
            aims = word_aims(vlm, scenes, config)
            blocks = connector.pixel_shuffle(patches.float(), config.shuffle)
            connector.modality_projection.proj.weight.copy_(least_squares(blocks, *aims))
        else:
            weight = connector.modality_projection.proj.weight
            weight.copy_(torch.randn(weight.shape, generator=seeded(recipe.seed)) * 0.02)
    return vlm


def load_tower(name: str, folder: Path = WEIGHTS) -> tuple[SmolVlm, DrawnVlmConfig]:
    """Load the VLM whose tower it is, and its sizes."""
    state, manifest = load_tensors(named(VLMS, name).path(folder))
    config = DrawnVlmConfig(**manifest["recipe"]["model"])
    return vlm_from_state(name, config, state), config


def word_aims(
    vlm: SmolVlm, scenes: Sequence[int], config: DrawnVlmConfig
) -> tuple[Float[Tensor, "n s h"], Float[Tensor, "n s"]]:
    """Return what each image token should mean: the mean of the words for its patches.

    A patch under an object means its kind, any other one the place; patches at an object's rim,
    without a label, are left out. The second tensor says how many patches were counted.
    """
    split = split_in(config.world, "train")
    labels = dense_labels([make_scene(split, i) for i in scenes], config.grid)
    kinds = [word_vector(vlm, kind.name) for kind in objects_of(split)]
    places = [word_vector(vlm, place.scene_noun) for place in places_of(split)]
    nothing = labels.kind == labels.nothing
    row = torch.where(nothing, labels.place + len(kinds), labels.kind)
    known = row.clamp_min(0) * (labels.kind != IGNORED)
    seen = (labels.kind != IGNORED).float()
    words = torch.stack([*kinds, *places])[known] * seen[..., None]
    side, merge = config.grid // config.shuffle, config.shuffle
    shape = (len(row), side, merge, side, merge)
    counted = seen.view(shape).sum(dim=(2, 4)).flatten(1)
    total = words.view(*shape, -1).sum(dim=(2, 4)).flatten(1, 2)
    return total / counted.clamp_min(1)[..., None], counted


def word_vector(vlm: SmolVlm, words: str) -> Float[Tensor, " h"]:
    """Return the mean embedding of a word's tokens, written as inside a text."""
    ids = vlm.processor.tokenizer(f" {words}", add_special_tokens=False)["input_ids"]
    return vlm.embedding_table[torch.tensor(ids)].mean(dim=0)


def least_squares(
    blocks: Float[Tensor, "n s c"], aims: Float[Tensor, "n s h"], weights: Float[Tensor, "n s"]
) -> Float[Tensor, "h c"]:
    """Return the linear map from blocks of patches to aims, with a small ridge.

    >>> seen, aims = torch.eye(2)[None], torch.tensor([[[2.0], [4.0]]])
    >>> least_squares(seen, aims, torch.ones(1, 2)).round(decimals=1)
    tensor([[2., 4.]])
    """
    read, wanted, share = blocks.flatten(0, 1), aims.flatten(0, 1), weights.flatten()[:, None]
    square = read.T @ (share * read)
    ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square))
    return torch.linalg.solve(square + ridge, read.T @ (share * wanted)).T


def trained_parts(vlm: SmolVlm) -> nn.ModuleDict:
    """Return connector and LoRA as one module: what is trained, saved and restored."""
    connector = vlm.base.model.connector.requires_grad_(True)
    lora = nn.ParameterList(p.requires_grad_(True) for p in lora_parameters(vlm).values())
    return nn.ModuleDict({"connector": connector, "lora": lora})


def image_batch(vlm: SmolVlm, patches: Float[Tensor, "b p dv"]) -> VisionBatch:
    """Run the connector, with gradient, on patches that the tower gave before."""
    read = vlm.base.model.connector(patches)
    grid = torch.tensor([[1, 0, 0]] * len(patches))
    return VisionBatch(patches.mean(dim=1), tuple(read), grid)


def caption_loss(
    vlm: SmolVlm, patches: Float[Tensor, "b p dv"], captions: Sequence[str]
) -> Float[Tensor, ""]:
    """Return the cross-entropy of captions after their images, end mark included."""
    generated = vlm.tokenize(captions)
    states = vlm.caption_states(image_batch(vlm, patches), generated)[:, :-1]
    logits = vlm.token_logits(states[generated.mask])
    return functional.cross_entropy(logits, generated.ids[generated.mask])


def train(
    vlm: SmolVlm,
    patches: Float[Tensor, "n p dv"],
    recipe: RealLanguageRecipe,
    *,
    watch: Watch = UNWATCHED,
    each_step: Callable[[int, float], None] = lambda step, loss: None,
) -> list[float]:
    """Put LoRA on the model and train it with the connector, in place; return the losses.

    With a checkpoint to `watch` it saves itself as it goes and, called again, goes on to the same
    end. `each_step` is told every loss.
    """
    add_lora(vlm, recipe.lora, generator=seeded(recipe.seed))
    parts, stage, split = trained_parts(vlm), recipe.exact, split_in(WORLD, "train")
    optimizer = stage.optimizer(parts)
    curve = watch.checkpoint.restore({"parts": parts}, optimizer) if watch.checkpoint else []
    done = len(curve)
    batches = islice(visits_of(len(patches), stage, recipe.seed), done, None)
    shown = {"total": stage.steps, "desc": stage.name, "disable": not watch.progress}
    for step, visits in enumerate(tqdm(batches, initial=done, **shown), start=done):
        # 1 learning rate, 2 captions, 3 loss, 4 step
        stage.set_rate(optimizer, step)
        texts = [exact_caption(make_scene(split, i), caption_draw(split, i, v)) for i, v in visits]
        with fast_linears(vlm.model):
            loss = caption_loss(vlm, patches[[i for i, _ in visits]].float(), texts)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        curve.append(float(loss.detach()))
        each_step(step, curve[-1])
        if watch.checkpoint:
            watch.checkpoint.save({"parts": parts}, optimizer, curve)
    parts.requires_grad_(False)
    return curve


def merge_lora(vlm: SmolVlm, recipe: RealLanguageRecipe, lora: dict[str, Tensor]) -> None:
    """Add LoRA's products to the weights of a model without LoRA, in place.

    Hu et al. 2021, section 4.1: W + (alpha / r) B A.
    """
    weights = dict(vlm.base.named_parameters())
    scale = recipe.lora.alpha / recipe.lora.rank
    with torch.no_grad():
        for name, down in lora.items():
            if ".lora_A." in name:
                up = lora[name.replace(".lora_A.", ".lora_B.")]
                layer = re.sub(r"\.lora_A(\.default)?\.weight$", ".weight", name)
                weights[layer] += scale * (up.float() @ down.float())


def ship(
    vlm: SmolVlm,
    recipe: RealLanguageRecipe,
    path: Path,
    facts: dict[str, Any],
    folder: Path = WEIGHTS,
) -> None:
    """Write connector and LoRA in half precision, and what they stand on into the manifest."""
    state = {CONNECTOR: vlm.base.model.connector.modality_projection.proj.weight}
    state |= lora_parameters(vlm)
    half = {key: value.detach().half() for key, value in state.items()}
    save_tensors(
        path,
        half,
        {
            "kind": "real-language-vlm",
            "recipe": recipe.to_dict(),
            "stands_on": stands_on(recipe, folder),
            "parameters": sum(value.numel() for value in half.values()),
            **facts,
        },
    )


def stands_on(recipe: RealLanguageRecipe, folder: Path = WEIGHTS) -> dict[str, str]:
    """Return the digests of the tower's file and of the language model's weights."""
    return {
        "tower": sha256_file(named(VLMS, recipe.tower).path(folder)),
        "language_model": fingerprint_of(load_causal_lm(recipe.language_model).model),
    }


def recipe_in(manifest: dict[str, Any]) -> RealLanguageRecipe:
    """Return the recipe that a manifest contains."""
    plain = dict(manifest["recipe"])
    lora = LoraSettings(**plain["lora"] | {"projections": tuple(plain["lora"]["projections"])})
    return RealLanguageRecipe(**plain | {"lora": lora, "exact": VlmStage(**plain["exact"])})


def load_real_language_vlm(path: Path = SHIPPED, folder: Path = WEIGHTS) -> SmolVlm:
    """Load what `ship` wrote: a plain model, LoRA merged, as `load_vlm` gives it.

    Raises `ImportError` that says what to install where the language model is missing, and
    `ValueError` where tower or language model are not those that it was trained with.
    """
    tensors, manifest = load_tensors(path)
    recipe = recipe_in(manifest)
    found = stands_on(recipe, folder)
    for part, digest in manifest["stands_on"].items():
        if found[part] != digest:
            raise ValueError(
                f"{path} was trained on another {part.replace('_', ' ')}: {digest[:12]}, found "
                f"{found[part][:12]} under {getattr(recipe, part)}. Train it again, or get that one"
            )
    vlm = build(replace(recipe, connector="fresh"), folder)
    projection = vlm.base.model.connector.modality_projection.proj
    projection.load_state_dict({"weight": tensors.pop(CONNECTOR).float()})
    merge_lora(vlm, recipe, tensors)
    return vlm
