"""Time a training step through a frozen language model on a CPU: oneDNN's layers against torch's.

    python benchmarks/frozen_lm.py            # a minute; writes results/frozen_lm_benchmark.json
    python benchmarks/frozen_lm.py --quick    # a small model with random weights; writes nothing

The step is text-only training's: a prefix of 10 positions in front of 32 captions, their loss, and
its gradient back to the prefix. The model is SmolLM2-135M (`make real`), the captions are COCO's
first ones of 2014's validation images. Beside each time stands how far the prefix's gradient is
from that of torch's float32 layers, as a share of its length and as a cosine: bfloat16 is sooner
still, and its gradient another one.

All ratios are of times measured in this run: time of the processor on one thread, the least of
several steps. The last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from vizer_core.files import write_json
from vizer_core.language import CausalLM, fast_linear, sequence_log_probs
from vizer_core.runtime import git_commit, hardware, seeded

ROOT = Path(__file__).resolve().parent.parent
BATCH, PREFIX, REPEATS = 32, 10, 3
KINDS = {  # name -> precision, and whether oneDNN's layers are taken
    "torch_float32": (torch.float32, False),
    "onednn_float32": (torch.float32, True),
    "torch_bfloat16": (torch.bfloat16, False),
}


def small_model() -> tuple[CausalLM, list[str]]:
    """Return two layers of SmolLM2's width with random weights, and captions for them."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {f"w{i}": i for i in range(2048)}
    core = Tokenizer(models.WordLevel(words, unk_token="w2"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="w0", eos_token="w1")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2048,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=2,
        num_attention_heads=9,
        num_key_value_heads=3,
    )
    lm = CausalLM.from_model(LlamaForCausalLM(config), tokenizer, "two layers")
    return lm, [" ".join(f"w{3 + 7 * i + j}" for j in range(12)) for i in range(BATCH)]


def real_model() -> tuple[CausalLM, list[str]]:
    """Return SmolLM2-135M and captions of COCO."""
    from vizer_core.data.coco import coco2014

    records = coco2014("val")[:BATCH]
    return CausalLM.from_pretrained("smollm2-135m"), [each.captions[0] for each in records]


def step(lm: CausalLM, prefix: Tensor, captions: list[str]) -> tuple[float, Tensor]:
    """Return the seconds of one step, and the gradient that reaches the prefix."""
    began, leaf = time.process_time(), prefix.clone().requires_grad_()
    (-sequence_log_probs(lm, leaf, captions).mean()).backward()
    return time.process_time() - began, leaf.grad


def compare(lm: CausalLM, captions: list[str], repeats: int) -> dict[str, float]:
    """Time each kind of layers and compare the gradients."""
    words = lm.model.get_input_embeddings().weight.detach().float()
    rows = torch.randint(len(words), (BATCH, PREFIX), generator=seeded(1))
    prefix, smallest = words[rows], fast_linear.SMALLEST_WEIGHT
    seconds: dict[str, float] = {}
    gradients: dict[str, Tensor] = {}
    for kind, (dtype, taken) in KINDS.items():
        lm.model.to(dtype)
        fast_linear.SMALLEST_WEIGHT = smallest if taken else 2**60
        steps = [step(lm, prefix, captions) for _ in range(repeats + 1)]
        seconds[kind] = min(took for took, _ in steps[1:])  # the first pays for memory
        gradients[kind] = steps[-1][1]
        print(f"{kind}: {seconds[kind]:.2f} s", file=sys.stderr)
    fast_linear.SMALLEST_WEIGHT = smallest
    exact, figures = gradients["torch_float32"], {}
    for kind in KINDS:
        figures[f"{kind}_seconds"] = round(seconds[kind], 2)
    for kind in list(KINDS)[1:]:
        found = gradients[kind]
        figures |= {
            f"{kind}_speedup": round(seconds["torch_float32"] / seconds[kind], 2),
            f"{kind}_gradient_error": float(f"{(found - exact).norm() / exact.norm():.2g}"),
            f"{kind}_gradient_cosine": round(
                float(cosine_similarity(found.flatten(), exact.flatten(), dim=0)), 4
            ),
        }
    return figures


def main() -> None:
    """Measure, print JSON last, and store it unless --quick."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "frozen_lm_benchmark.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    lm, captions = small_model() if options.quick else real_model()
    figures = compare(lm, captions, 1 if options.quick else REPEATS)
    if not options.quick:
        record = {
            "experiment": "frozen_lm_benchmark",
            "command": "python benchmarks/frozen_lm.py",
            "commit": git_commit(),
            "hardware": hardware(),
            "seconds": round(time.monotonic() - began, 1),
            "figures": figures,
        }
        write_json(options.out, record)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
