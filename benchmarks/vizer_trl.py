"""A zero-label step beside TRL's own trainer: the same model, images, reward, samples and LoRA.

    pip install trl                    # not a dependency of the package
    python benchmarks/vizer_trl.py     # minutes; adds to results/vizer_benchmark.json

TRL's `RLOOTrainer` is what one takes from the shelf for this: it draws k captions an image, asks a
reward, takes RLOO's advantage and does a step. Both sides get a shipped VLM in float32, the same
images as files would give them, k = 4 captions of at most 24 tokens at temperature 1, LoRA of rank
32 on the language model, a reward of words alone (so that its time counts on neither side), no KL
and no second pass over a batch. Times are CPU seconds of one thread, the least of several steps,
taking turns. The advantages that TRL kept are compared with ours of the same rewards.
`operations_per_token` and `tower_passes_per_image` are counted, before (the model itself) and after
(fast decoding): `vizer_core.vlm.counting`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from vizer_core.decoding import Sample
from vizer_core.files import read_json, write_json
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.shipped import shipped
from vizer_core.vizer.adapter_run import TrainConfig
from vizer_core.vizer.lora import VIZER_LORA, add_lora, lora_targets
from vizer_core.vizer.policy_gradient import PolicyGradient, rloo
from vizer_core.vizer.text_states import ImageSource
from vizer_core.vizer.train import train_adapter
from vizer_core.vlm.counting import operations_per_token, tower_passes
from vizer_lab.world.data import DrawnSplit

ROOT = Path(__file__).resolve().parent.parent
MODEL, IMAGES, SAMPLES, TOKENS = "drawn-vlm-plain", 16, 4, 24
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}{% endfor %}"
)
DEEP = 24  # layers of the model whose operations are counted


def distinct_words(texts: list[str]) -> list[float]:
    """Return the share of a caption's words that are said once: a reward of words alone."""
    words = [text.split() for text in texts]
    return [len(set(said)) / max(len(said), 1) for said in words]


def images_of(count: int) -> list[Any]:
    """Return images of the drawn world."""
    return [Image.fromarray(pixels) for pixels in DrawnSplit("second_test", count).images]


class Clock:
    """Notes CPU time after each step, and returns the least time that a step took."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def __call__(self, *_: Any) -> None:
        """Note the time."""
        self.marks.append(time.process_time())

    def least(self) -> float:
        """Return the shortest time from one step's end to the next one's."""
        return min(b - a for a, b in zip(self.marks, self.marks[1:]))


def ours(steps: int, images: list[Any], *, fast: bool) -> tuple[float, float]:
    """Train so many steps with `train_adapter`; return seconds a step and tower passes."""
    vlm = shipped("vlm", MODEL)("cpu")
    vlm.fast = fast
    add_lora(vlm, generator=seeded(0))
    clock, config = (
        Clock(),
        TrainConfig(
            learning_rate=1e-6,
            images_per_step=len(images),
            samples=SAMPLES,
            epochs=steps,
            kl_every=0,
            decoding=Sample(max_tokens=TOKENS),
        ),
    )

    def reward(vision: Any, captions: Any) -> list[float]:
        return distinct_words(list(captions.texts))

    with tower_passes(vlm) as seen:
        train_adapter(
            vlm,
            ImageSource(vlm, images),
            PolicyGradient(reward, rloo),
            config,
            generator=seeded(1),
            progress=clock,
        )
    return clock.least(), seen["images"] / (steps * len(images))


def trls(steps: int, images: list[Any]) -> tuple[float, float, float]:
    """Train as many with TRL; return seconds a step, tower passes, and how far advantages are."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import RLOOConfig, RLOOTrainer

    vlm, clock = shipped("vlm", MODEL)("cpu"), Clock()
    vlm.processor.chat_template = TEMPLATE
    rewards: list[float] = []

    def reward(completions: list[Any], **_: Any) -> list[float]:
        texts = [turns[0]["content"] for turns in completions]
        rewards.extend(found := distinct_words([_text(text) for text in texts]))
        return found

    class Ends(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            clock()

    seen = {"images": 0}

    def count(module: Any, args: Any, kwargs: Any) -> None:
        seen["images"] += len(kwargs.get("pixel_values", args[0] if args else ()))

    vlm.base.model.vision_model.register_forward_pre_hook(count, with_kwargs=True)
    rows = {"prompt": [[{"role": "user", "content": "caption"}]] * len(images), "image": images}
    with tempfile.TemporaryDirectory() as folder:
        trainer = RLOOTrainer(
            model=vlm.base,
            reward_funcs=reward,
            args=RLOOConfig(
                folder,
                per_device_train_batch_size=len(images) * SAMPLES,
                num_generations=SAMPLES,
                max_steps=steps,
                max_completion_length=TOKENS,
                temperature=1.0,
                top_k=0,
                beta=0.0,
                learning_rate=1e-6,
                gradient_checkpointing=False,
                bf16=False,
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_dict(rows),
            processing_class=vlm.processor,
            callbacks=[Ends()],
            peft_config=LoraConfig(
                r=VIZER_LORA.rank, lora_alpha=VIZER_LORA.alpha, target_modules=lora_targets(vlm)
            ),
        )
        trainer.train()
        kept = torch.tensor(list(trainer._logs["advantages"])[-len(images) * SAMPLES :])
    given = torch.tensor(rewards[-len(kept) :]).reshape(-1, SAMPLES)
    difference = float((rloo(given).flatten() - kept).abs().max())
    return clock.least(), seen["images"] / (steps * len(images)), difference


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def counted(*, fast: bool, adapted: bool) -> dict[str, float]:
    """Count what a token launches on a model of 24 layers; its width changes nothing in this."""
    import transformers

    from vizer_core.vlm import SmolVlm
    from vizer_lab.zoo.vlm_processor import drawn_vlm_processor

    processor = drawn_vlm_processor(4, 16)
    words, mark = len(processor.tokenizer), processor.tokenizer.convert_tokens_to_ids("<image>")
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
    config = transformers.Idefics3Config(
        text_config={
            "model_type": "llama",
            "num_hidden_layers": DEEP,
            "vocab_size": words,
            **sizes,
        },
        vision_config={"num_hidden_layers": 1, "image_size": 16, "patch_size": 4, **sizes},
        scale_factor=2,
        image_token_id=mark,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    vlm = SmolVlm(transformers.Idefics3ForConditionalGeneration(config), processor, "deep")
    vlm.tokens.eos_ids, vlm.fast = (words,), fast  # a caption never ends
    if adapted:
        add_lora(vlm, generator=seeded(0))
    pixels = torch.rand(2, 3, 16, 16, generator=seeded(1))
    return operations_per_token(vlm, vlm.encode_pixels(pixels, torch.tensor([[1, 0, 0]] * 2)))


def figures_of(steps: int) -> dict[str, Any]:
    """Race both, and count."""
    images = images_of(IMAGES)
    turns = [(ours(steps, images, fast=True), trls(steps, images)) for _ in range(2)]
    plain, _ = ours(steps, images, fast=False)
    mine = min(one[0] for one, _ in turns)
    theirs = min(other[0] for _, other in turns)
    before, after = (counted(fast=fast, adapted=True) for fast in (False, True))
    return {
        "trl_speedup": theirs / mine,
        "trl_speedup_plain_decoding": theirs / plain,
        "trl_seconds_a_step": theirs,
        "seconds_a_step_beside_trl": mine,
        "trl_advantage_difference": max(other[2] for _, other in turns),
        "trl_tower_passes_per_image": turns[0][1][1],
        "tower_passes_per_image": turns[0][0][1],
        "operations_per_token": after["operations"],
        "operations_per_token_before": before["operations"],
        "host_waits_per_token": after["waits"],
        "host_waits_per_token_before": before["waits"],
    }


def claims(figures: dict[str, Any]) -> list[dict[str, str]]:
    """Judge what the documentation says by this run's figures."""
    bars = (
        ("a zero-label step at least twice as fast as TRL's RLOOTrainer", "trl_speedup", 2, True),
        ("TRL's advantages", "trl_advantage_difference", 1e-5, False),
        ("at most 500 operations per token at 24 layers", "operations_per_token", 500, False),
    )
    return [
        {
            "claim": claim,
            "source": "this package",
            "verdict": "holds"
            if (figures[name] >= bar if at_least else figures[name] <= bar)
            else "does not hold",
            "evidence": f"{name} {figures[name]:.4g}, bar {bar:g}",
        }
        for claim, name, bar, at_least in bars
    ]


def main() -> None:
    """Run the comparison and add it to the record of `benchmarks/vizer.py`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=6, help="the first of them only warms up")
    parser.add_argument("--quick", action="store_true", help="3 steps; writes nothing")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "vizer_benchmark.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    figures = figures_of(3 if options.quick else options.steps)
    if not options.quick:
        record = read_json(options.out)
        said = claims(figures)
        names = {claim["claim"] for claim in said}
        record["figures"] |= figures
        record["claims"] = [c for c in record["claims"] if c["claim"] not in names] + said
        record["beside_trl"] = {
            "command": "python benchmarks/vizer_trl.py",
            "commit": git_commit(),
            "hardware": hardware(),
            "seconds": round(time.perf_counter() - start, 1),
        }
        write_json(options.out, record)
    print(json.dumps(figures))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
