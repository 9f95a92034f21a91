"""What a GPU has to say of this package, in one command and a given number of minutes.

    python benchmarks/gpu.py --minutes 12 --out results/gpu.json     # on a machine with one GPU
    python benchmarks/gpu.py --device cpu --tiny                     # a rehearsal, in the tests

Nothing is downloaded: models have the published shapes and random weights, which take the time and
the memory of the real ones; `--model FOLDER` puts a real checkpoint in the first one's place. Seven
parts, in the order of their worth; each is written as soon as it is there, and skipped, with the
reason, where its time is over or it fails. `--parts equality,memory` takes some.

==========  ====================================================================================
equality    greedy captions: the model itself and fast decoding beside transformers' `generate`,
            full depth, half precisions, the share that is equal letter by letter; fast decoding
            as one recording (a CUDA graph) too
memory      peak of a step by objective and micro-batch beside the estimate, and at the number of
            images that the estimate says fits
phases      seconds of a step: vision, captions, reward, pass with gradient
decoding    tokens a second: LoRA beside the weights, merged and fast, recorded; without LoRA too
features    images a second through ViT-B/32 and ViT-L/14
maccap      captions a second: OPT-1.3B, 20 noisy samples an image
resume      a run that is stopped and goes on has the weights of one that was not
==========  ====================================================================================
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vizer_core.decoding import Greedy, Sample
from vizer_core.files import write_json
from vizer_core.runtime import git_commit, hardware, seeded
from vizer_core.vizer import adapter_tensors, add_lora
from vizer_core.vizer.adapter_run import POLICY_GRADIENT
from vizer_core.vizer.information import InformationReward
from vizer_core.vizer.lora import remove_lora
from vizer_core.vizer.rollout import Rollout
from vizer_core.vizer.train import train_adapter
from vizer_core.vlm import SmolVlm, StepPlan, VisionBatch, published, size_of, step_memory
from vizer_core.vlm.memory import largest_batch

TINY_TEXT = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
TINY_TEXT |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
TINY_TOWER = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2}
TINY_TOWER |= {"num_attention_heads": 4, "image_size": 32, "patch_size": 4}
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass
class Bench:
    """Where and how large: `tiny` for a rehearsal; `ends` is when the time is over."""

    device: torch.device
    tiny: bool
    ends: float
    model: str | None = None

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.ends - time.monotonic()

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Precisions to try."""
        return ("float32",) if self.device.type == "cpu" else ("bfloat16", "float16")

    @property
    def ways(self) -> tuple[str, ...]:
        """Ways to decode; a CPU would compile for longer than it decodes."""
        return ("plain", "fast", "compiled") if self.device.type == "cuda" else ("plain", "fast")

    def count(self, many: int) -> int:
        """Return a number of images, tokens or rounds, or a small one for a rehearsal."""
        return max(2, many // 8) if self.tiny else many

    def vlm(self, name: str, dtype: str) -> SmolVlm:
        """Make a SmolVLM of a published shape with random weights, or load the given checkpoint."""
        if self.model is not None:
            from vizer_core.vlm import load_vlm

            return load_vlm(self.model, device=self.device, dtype=DTYPES[dtype])
        import transformers

        from vizer_lab.zoo.vlm_processor import drawn_vlm_processor

        config = getattr(published, f"{name}_config")()
        if self.tiny:
            config.text_config.update(TINY_TEXT)
            config.vision_config.update(TINY_TOWER)
        side = config.vision_config.image_size // config.vision_config.patch_size
        processor = drawn_vlm_processor((side // config.scale_factor) ** 2)
        config.image_token_id = processor.tokenizer.convert_tokens_to_ids("<image>")
        torch.manual_seed(0)
        with torch.device(self.device):
            model = transformers.Idefics3ForConditionalGeneration(config)
        vlm = SmolVlm(model.to(DTYPES[dtype]), processor, f"random {name}")
        vlm.tokens.eos_ids = (len(vlm.embedding_table) + 1,)  # random captions never end
        return vlm

    def images(self, vlm: SmolVlm, count: int, seed: int = 1) -> VisionBatch:
        """Encode noise."""
        side = vlm.base.config.vision_config.image_size
        pixels = torch.rand(count, 3, side, side, generator=seeded(seed)) * 2 - 1
        parts = [vlm.encode_pixels(p, torch.tensor([[1, 0, 0]] * len(p))) for p in pixels.split(16)]
        return VisionBatch.concatenate(parts)

    def seconds(self, work: Callable[[], Any], rounds: int = 2) -> float:
        """Return the least time of some rounds, the device at rest before and after."""
        least = float("inf")
        for _ in range(rounds):
            self.rest()
            start = time.perf_counter()
            work()
            self.rest()
            least = min(least, time.perf_counter() - start)
        return least

    def rest(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak(self, work: Callable[[], Any]) -> int:
        """Return the bytes that work holds at once beside what was there before."""
        gc.collect()
        if self.device.type != "cuda":
            from vizer_core.vlm.counting import most_bytes

            return most_bytes(work)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before


def equality(bench: Bench) -> dict[str, Any]:
    """Caption by `generate`, by the model itself and fast; return shares of equal captions."""
    found = {}
    for dtype in bench.dtypes:
        vlm = bench.vlm("smolvlm_256m", dtype)
        vision, tokens = bench.images(vlm, bench.count(16)), bench.count(24)
        ids, _ = vlm.prompt_batch(vision)
        theirs = vlm.base.generate(
            **vlm.transformers_inputs(vision),
            do_sample=False,
            max_new_tokens=tokens,
            eos_token_id=list(vlm.tokens.eos_ids),
            suppress_tokens=[vlm.image_token_id],
        )[:, ids.shape[1] :]
        for way in bench.ways:
            vlm.fast, vlm.compiled = way == "fast", way == "compiled"
            ours = vlm.generate(vision, decoding=Greedy(tokens)).ids
            found[f"{dtype}_{way}"] = float((ours == theirs).all(dim=1).float().mean())
    return found


def memory(bench: Bench) -> dict[str, Any]:
    """Take a pass with gradient by kind of loss and micro-batch; return bytes and estimates."""
    dtype = bench.dtypes[0]
    vlm = bench.vlm("smolvlm_256m", dtype)
    add_lora(vlm, generator=seeded(0))
    size, rows = size_of(vlm.base.config), {}
    free = torch.cuda.mem_get_info()[0] if bench.device.type == "cuda" else 2 * 10**9
    plan = StepPlan(
        samples=4, caption_tokens=bench.count(24), model_bytes=DTYPES[dtype].itemsize, kl=True
    )
    for name, head in (("image_context", False), ("information", True)):
        own = replace(plan, head=head)
        advised = 2 if bench.tiny else min(256, largest_batch(size, own, int(free * 0.9)))
        for images in sorted({2, bench.count(8), advised}):
            vision = bench.images(vlm, images)
            measured = bench.peak(lambda: _step(vlm, vision, own, head=head))  # noqa: B023
            prompt = vlm.prefix(vision.select([0])).mask.shape[1]
            bare = replace(own, prompt_tokens=0).prefix_tokens(size)
            exact = replace(own, batch=images, prompt_tokens=max(0, prompt - bare))
            estimate = step_memory(size, exact)
            told = max(estimate.training, estimate.generation)
            rows[f"{name}, {images} images"] = {
                "measured": measured,
                "estimate": told,
                "ratio": told / measured,
                "advised": images == advised,
            }
    return rows


def _step(vlm: SmolVlm, vision: VisionBatch, plan: StepPlan, *, head: bool) -> None:
    captions = vlm.generate(
        vision,
        decoding=Sample(max_tokens=plan.caption_tokens),
        samples=plan.samples,
        generator=seeded(2),
    )
    rollout = Rollout(vlm, vision, captions)
    loss = -rollout.log_probs.sum() if head else rollout.states.float().pow(2).mean()
    with torch.no_grad():
        rollout.kl_from_base()
    del rollout
    loss.backward()
    vlm.model.zero_grad()


def phases(bench: Bench) -> dict[str, Any]:
    """Time the parts of an information step of 32 images with four captions each."""
    vlm = bench.vlm("smolvlm_256m", bench.dtypes[0])
    vlm.fast = True
    add_lora(vlm, generator=seeded(0))
    count, rule = bench.count(32), Sample(max_tokens=bench.count(24))
    vision = bench.images(vlm, count)
    captions = vlm.generate(vision, decoding=rule, samples=4, generator=seeded(3))
    reward = InformationReward(vlm, 0.7)

    def gradient() -> None:
        (-Rollout(vlm, vision, captions).log_probs.sum()).backward()
        vlm.model.zero_grad()

    return {
        "images": count,
        "vision": bench.seconds(lambda: bench.images(vlm, count)),
        "captions": bench.seconds(
            lambda: vlm.generate(vision, decoding=rule, samples=4, generator=seeded(3))
        ),
        "reward": bench.seconds(lambda: reward(vision, captions)),
        "gradient": bench.seconds(gradient),
    }


def decoding(bench: Bench) -> dict[str, Any]:
    """Return tokens a second of one batch, by how LoRA is applied."""
    vlm = bench.vlm("smolvlm_256m", bench.dtypes[0])
    vision, tokens = bench.images(vlm, bench.count(32)), bench.count(32)
    found = {}
    for adapted, way in [(adapted, way) for adapted in (False, True) for way in bench.ways]:
        vlm.fast, vlm.compiled = way == "fast", way == "compiled"
        if adapted:
            add_lora(vlm, generator=seeded(0))
        run = bench.seconds(lambda: vlm.generate(vision, decoding=Greedy(tokens)))
        found[f"{'lora' if adapted else 'base'}, {way}"] = len(vision) * tokens / run
        if adapted:
            remove_lora(vlm)
    return found


def features(bench: Bench) -> dict[str, Any]:
    """Return images a second through CLIP's image towers, pixels already on the device."""
    from vizer_core.clip import loading

    found = {}
    for name in ("ViT-B-32",) if bench.tiny else ("ViT-B-32", "ViT-L-14"):
        clip = loading.build_model(loading.model_config(name)).eval().to(bench.device)
        count = bench.count(256)
        pixels = torch.rand(count, 3, 224, 224, generator=seeded(0)).to(bench.device)

        @torch.no_grad()
        def encode(clip: Any = clip, pixels: Tensor = pixels) -> None:
            clip.encode_image(pixels)

        found[name] = count / bench.seconds(encode)
    return found


def maccap(bench: Bench) -> dict[str, Any]:
    """Return captions a second of MacCap's prefix and OPT, 20 samples per image."""
    import transformers

    from vizer_core.textonly import PrefixConfig, PrefixDecoder

    sizes = {"hidden_size": 2048, "ffn_dim": 8192, "num_attention_heads": 32}
    sizes |= {"num_hidden_layers": 24, "word_embed_proj_dim": 2048}
    if bench.tiny:
        sizes = {"hidden_size": 64, "ffn_dim": 96, "num_attention_heads": 4}
        sizes |= {"num_hidden_layers": 2, "word_embed_proj_dim": 64}
    dtype = DTYPES[bench.dtypes[0]]
    with torch.device(bench.device):
        lm = transformers.OPTForCausalLM(transformers.OPTConfig(**sizes)).to(dtype).eval()
        network = PrefixDecoder(PrefixConfig(clip_width=512, lm_width=sizes["hidden_size"])).eval()
    count = bench.count(16)
    tokens = torch.randn(count * 20, 10, 512, generator=seeded(0)).to(bench.device)

    @torch.no_grad()
    def write() -> None:
        prefix = network(tokens).to(dtype)
        lm.generate(inputs_embeds=prefix, max_new_tokens=bench.count(16), do_sample=False)

    return {"captions_per_second": count / bench.seconds(write, rounds=1), "samples": 20}


def resume(bench: Bench) -> dict[str, Any]:
    """Train six steps, and six that are stopped after three; return the largest difference."""
    config = replace(
        POLICY_GRADIENT,
        images_per_step=2,
        save_every=1,
        learning_rate=1e-4,
        decoding=Sample(max_tokens=bench.count(16)),
    )

    def trained(stop: int | None, checkpoint: Path) -> dict[str, Tensor]:
        vlm = bench.vlm("smolvlm_256m", bench.dtypes[0])
        vlm.fast, source = True, bench.images(vlm, 12)

        def interrupt(run: Any, step: int) -> None:
            if step == stop:
                raise KeyboardInterrupt

        for ends in (False, True) if stop is not None else (True,):
            add_lora(vlm, generator=seeded(0))
            try:
                train_adapter(
                    vlm,
                    source,
                    InformationReward(vlm, 0.7),
                    config,
                    generator=seeded(1),
                    checkpoint=checkpoint,
                    progress=False if ends else interrupt,
                )
            except KeyboardInterrupt:
                remove_lora(vlm)
        return adapter_tensors(vlm)

    with tempfile.TemporaryDirectory() as folder:
        whole = trained(None, Path(folder) / "whole.safetensors")
        cut = trained(3, Path(folder) / "cut.safetensors")
    return {"largest_difference": max(float((whole[n] - cut[n]).abs().max()) for n in whole)}


PARTS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "equality": equality, "memory": memory, "phases": phases, "decoding": decoding,
    "features": features, "maccap": maccap, "resume": resume,
}  # fmt: skip


def run(bench: Bench, names: list[str], out: Path | None) -> dict[str, Any]:
    """Run parts, and write what is there after each; what fails says why and stops nothing."""
    record: dict[str, Any] = {
        "experiment": "gpu",
        "command": "python benchmarks/gpu.py " + " ".join(sys.argv[1:]),
        "commit": git_commit(),
        "hardware": hardware(),
        "device": torch.cuda.get_device_name() if bench.device.type == "cuda" else "CPU",
        "tiny": bench.tiny,
        "parts": {},
    }
    for name in names:
        start = time.monotonic()
        if bench.left <= 0:
            found: dict[str, Any] = {"skipped": "the time was over"}
        else:
            try:
                found = PARTS[name](bench)
            except Exception as error:  # one part must not cost the others
                found = {"skipped": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        found["seconds"] = round(time.monotonic() - start, 1)
        record["parts"][name] = found
        print(json.dumps({name: found}), file=sys.stderr, flush=True)
        if out is not None:
            write_json(out, record)
        gc.collect()
    return record


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small shapes: a rehearsal")
    parser.add_argument("--model", help="a SmolVLM checkpoint in the place of random weights")
    parser.add_argument("--parts", default=",".join(PARTS), help="with commas between")
    asked = parser.parse_args()
    names = asked.parts.split(",")
    if unknown := sorted(set(names) - set(PARTS)):
        parser.error(f"no part {unknown[0]!r}: wanted some of {', '.join(PARTS)}")
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU is here: --device cpu --tiny rehearses the parts")
    ends = time.monotonic() + 60 * asked.minutes
    bench = Bench(torch.device(asked.device), asked.tiny, ends, asked.model)
    print(json.dumps(run(bench, names, asked.out)))


if __name__ == "__main__":
    main()
