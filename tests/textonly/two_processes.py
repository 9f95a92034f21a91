"""Run under torchrun: train the same adaptor in every process and write what each one has."""

from __future__ import annotations

import json
import sys

import torch

from tests.textonly.test_train import CONFIG, new_adaptor, pairs
from tests.textonly.tiny_models import tiny_language_model
from vizer_core.runtime import seeded
from vizer_core.textonly.train import fit_text_only


def main() -> None:
    """Train on this process's part and write rank, sum of weights and first loss as JSON."""
    torch.distributed.init_process_group("gloo")
    adaptor = new_adaptor()
    history = fit_text_only(adaptor, tiny_language_model(), pairs(), CONFIG, generator=seeded(0))
    total = sum(float(p.detach().double().sum()) for p in adaptor.parameters())
    rank = torch.distributed.get_rank()
    found = {"rank": rank, "weights": total, "loss": history.loss[0]}
    sys.stdout.write(json.dumps(found) + "\n")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
