"""The same work for one process and for two: `run_jobs` here, or this file under torchrun.

Batches are chosen so that they do not divide: one has fewer items than there are processes.
With the word "sharded" each process keeps half of every model's blocks.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny_vlm import noise_images, tiny_smol

from tests.textonly.test_train import CONFIG as TEXT
from tests.textonly.test_train import new_prefix_network, pairs
from tests.textonly.tiny_models import tiny_language_model
from vizer_core.decoding import Beam, Sample
from vizer_core.distributed import (
    gather_items,
    gather_rows,
    my_share,
    process_rank,
    start_processes,
    sum_over_processes,
    wait_for_everyone,
)
from vizer_core.runtime import seeded
from vizer_core.sharding import HeldBytes
from vizer_core.textonly.train import fit_text_only
from vizer_core.vizer.adapter_run import POLICY_GRADIENT, TrainConfig
from vizer_core.vizer.generate_captions import share_captions
from vizer_core.vizer.lora import LoraSettings, add_lora, lora_parameters
from vizer_core.vizer.mapper import MapperConfig, random_mapper
from vizer_core.vizer.objectives import ImageContext
from vizer_core.vizer.rewards import LengthWindow, ReadBackReward, SelfRetrievalReward
from vizer_core.vizer.targets import centre
from vizer_core.vizer.text_states import ImageSource, read_back_states, states_in_shards
from vizer_core.vizer.train import train_adapter
from vizer_core.vizer.train_mapper import FitConfig, fit_mapper

RULE = Sample(max_tokens=4)
ZERO = TrainConfig(
    learning_rate=1e-2, images_per_step=3, warmup_steps=1, decoding=RULE, kl_weight=0.1
)
RL = replace(
    POLICY_GRADIENT,
    images_per_step=3,
    samples=2,
    learning_rate=1e-2,
    decoding=RULE,
    warmup_steps=1,
)
IMAGES = noise_images(7)
CPU = torch.device("cpu")
SHARDED = "sharded" in sys.argv[1:]
held: list[HeldBytes] = []


def placed(model):
    """Return the model as it is, or cut over the processes."""
    if SHARDED:
        held.append(model.shard(CPU))
    return model


def flat(weights) -> torch.Tensor:
    return torch.cat([weight.detach().double().flatten() for weight in weights])


def words(texts) -> torch.Tensor:
    """Captions as numbers, so that they travel with the rest."""
    return torch.tensor([ord(letter) for letter in "\n".join(texts)])


def text_job(at_once: int | None = None) -> dict[str, torch.Tensor]:
    prefix_network = new_prefix_network(dropout=0.0)
    config = replace(TEXT, batch_size=3, captions_at_once=at_once)
    model = placed(tiny_language_model())
    history = fit_text_only(prefix_network, model, pairs(), config, generator=seeded(0))
    weights = [
        _without_key_bias(name, weight) for name, weight in prefix_network.named_parameters()
    ]
    return {"text": flat(weights), "text_loss": torch.tensor(history.loss)}


def _without_key_bias(name: str, weight: torch.Tensor) -> torch.Tensor:
    """Leave out what has no gradient but rounding, of which AdamW makes whole steps.

    A bias on attention's keys adds the same to all scores of a query; the softmax does not see it.
    """
    if not name.endswith("in_proj_bias"):
        return weight
    queries, _, values = weight.chunk(3)
    return torch.cat([queries, values])


def ready():
    vlm = placed(tiny_smol())
    source = ImageSource(vlm, IMAGES)
    space = centre(source.select(list(range(len(IMAGES)))).image_features)
    fitted = random_mapper(MapperConfig(32, 24, 16), space, generator=seeded(5))
    add_lora(vlm, LoraSettings(2, 4), generator=seeded(0))
    return vlm, source, fitted


def zero_job(at_once: int | None = None, *, recompute: bool = False) -> dict[str, torch.Tensor]:
    vlm, source, fitted = ready()
    vlm.recompute = recompute
    config = replace(ZERO, micro_batch_size=at_once)
    history = train_adapter(vlm, source, ImageContext(fitted), config, generator=seeded(7))
    seen = [history.loss, history.kl, history.gradient_norm, history.length]
    return {"zero": flat(lora_parameters(vlm).values()), "zero_seen": torch.tensor(seen)}


def rl_job(at_once: int | None = None) -> dict[str, torch.Tensor]:
    vlm, source, fitted = ready()
    config = replace(RL, micro_batch_size=at_once)
    reward = ReadBackReward(vlm, fitted)
    history = train_adapter(vlm, source, reward, config, generator=seeded(7))
    seen = [history.reward, history.spread, history.kl, history.gradient_norm, history.length]
    return {"rl": flat(lora_parameters(vlm).values()), "rl_seen": torch.tensor(seen)}


def retrieval_job() -> dict[str, torch.Tensor]:
    """A process may have one image only, guarded rewards included; it is compared with all."""
    vlm, source, fitted = ready()
    reward = LengthWindow(SelfRetrievalReward(ReadBackReward(vlm, fitted), 5.0), 1, 3, price=0.1)
    config = replace(RL, images_per_step=4)
    history = train_adapter(vlm, source, reward, config, generator=seeded(7))
    seen = [history.reward, history.spread, history.gradient_norm]
    return {
        "retrieval": flat(lora_parameters(vlm).values()),
        "retrieval_seen": torch.tensor(seen),
    }


def mapper_job(folder: Path) -> dict[str, torch.Tensor]:
    vlm, source, _ = ready()
    read = partial(_read, vlm)
    found = states_in_shards(read, source, folder, job={}, rule=RULE, seed=3, size=2)
    config = FitConfig(batch=2, held_out=2)
    fitted = fit_mapper(
        found.states, found.image_features, shape=MapperConfig(32, 24, 16), config=config,
        generator=seeded(1),
    )  # fmt: skip
    captions = share_captions(vlm, source, decoding=RULE, generator=seeded(2))
    return {
        "mapper": flat(fitted.mapper.parameters()),
        "states": found.states,
        "mapper_captions": words(found.texts),
        "captions": words(captions),
    }


def _read(vlm, source, generator):
    return read_back_states(vlm, source, decoding=RULE, generator=generator)


def run_jobs(folder: Path) -> dict[str, torch.Tensor]:
    """Do everything that several processes can do together."""
    return text_job() | zero_job() | rl_job() | retrieval_job() | mapper_job(folder)


def beam_job() -> dict[str, torch.Tensor]:
    """Captions of a language model by beams; processes have unequal parts of three prefixes."""
    model = placed(tiny_language_model())
    prefix = torch.randn(3, 2, model.width, generator=seeded(3))
    found: list[str] = []
    for index in my_share(3):
        rule = Beam(width=2, max_tokens=4 + 2 * index)
        found += model.generate(prefix[index : index + 1], decoding=rule).texts
    return {"beams": words(gather_items(found))}


def unequal_job() -> dict[str, torch.Tensor]:
    """Read with two models, one process five times as often, and each another model first."""
    models = [placed(tiny_language_model(seed)) for seed in (0, 1)]
    embeddings = torch.randn(6, 1, 2, models[0].width, generator=seeded(4))
    mask = torch.ones(1, 2, dtype=torch.bool)
    rank, world = process_rank()
    mine = range(6) if world == 1 else (range(1), range(1, 6))[rank]
    rows = []
    with torch.no_grad():
        for index in mine:
            rows.append(models[index % 2].logits(embeddings[index], mask))
    return {"unequal": gather_rows(torch.cat(rows))}


def sharded_jobs(folder: Path) -> dict[str, torch.Tensor]:
    """Do the same with cut models, and what needs more passes in one process than in the other."""
    found = run_jobs(folder)
    for name, job in (("text", text_job), ("zero", zero_job), ("rl", rl_job)):
        found |= {f"{key}_piecewise": value for key, value in job(1).items() if key == name}
    found["zero_recomputed"] = zero_job(recompute=True)["zero"]
    found |= beam_job() | unequal_job()
    bytes_of = [(each.here, each.whole) for each in held]
    return found | {"held": torch.tensor(bytes_of)}


def unequal_passes() -> None:
    """Pass a cut model with gradient in one process only, which has to end in an error in both."""
    model = placed(tiny_language_model())
    if process_rank()[0] == 0:
        embeddings = torch.zeros(1, 2, model.width, requires_grad=True)
        model.logits(embeddings, torch.ones(1, 2, dtype=torch.bool))
    wait_for_everyone()


def main() -> None:
    """Run the jobs as one of several processes and write what this one has."""
    start_processes(CPU)
    rank, world = process_rank()
    assert world == 2 and torch.distributed.get_backend() == "gloo"
    assert float(sum_over_processes(torch.ones(1))) == 2.0
    assert gather_rows(torch.ones(rank, 3)).shape == (1, 3)
    out = Path(sys.argv[1])
    if "unequal" in sys.argv[1:]:
        unequal_passes()
    jobs = sharded_jobs if SHARDED else run_jobs
    save_file(jobs(out / "states"), out / f"rank{rank}.safetensors")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    assert "WORLD_SIZE" in os.environ, "run under torchrun"
    main()
