"""`vizer merge` and --push-to-hub: one checkpoint without peft, sent to a hub that stands in."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from tiny_vlm import noise_images

from vizer_core.decoding import Greedy
from vizer_core.models import load_vlm
from vizer_core.runtime import seeded
from vizer_core.vizer import add_lora, lora_parameters, save_adapter


@pytest.fixture
def adapter(disk, tmp_path):
    """An adapter that changes captions, of the miniature SmolVLM."""
    vlm = load_vlm(str(disk.smolvlm), device="cpu")
    add_lora(vlm, generator=seeded(0))
    with torch.no_grad():
        for index, weight in enumerate(lora_parameters(vlm).values()):
            weight.copy_(torch.randn(weight.shape, generator=seeded(index)) * 0.1)
    return save_adapter(vlm, tmp_path / "adapter")


def test_a_merged_checkpoint_captions_as_model_and_adapter_do(vizer, disk, adapter, tmp_path):
    done = vizer("merge", adapter, "--model", disk.smolvlm, "--out", tmp_path / "whole")
    assert done.exit_code == 0, done.output
    images, rule = noise_images(4), Greedy(6)
    base = load_vlm(str(disk.smolvlm), device="cpu").caption(images, decoding=rule)
    both = load_vlm(str(disk.smolvlm), adapter=adapter, device="cpu").caption(images, decoding=rule)
    merged = load_vlm(str(tmp_path / "whole"), device="cpu")
    assert merged.caption(images, decoding=rule) == both != base
    assert not any("lora" in name for name, _ in merged.base.named_parameters())
    assert "with the LoRA adapter `adapter` added" in (tmp_path / "whole/README.md").read_text()


def test_a_folder_that_is_read_or_full_is_not_written_to(vizer, disk, adapter):
    done = vizer("merge", adapter, "--model", disk.smolvlm, "--out", adapter)
    assert done.exit_code == 2 and "contains an adapter already" in done.stderr
    done = vizer("merge", adapter, "--model", disk.smolvlm, "--out", disk.smolvlm)
    assert done.exit_code == 2 and "contains a model" in done.stderr


@pytest.fixture
def hub(monkeypatch):
    """A hub on this machine: it takes repositories and commits, and notes what it was sent."""
    from huggingface_hub import HfApi

    seen = {"paths": [], "created": [], "keys": set()}

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen["keys"].add(self.headers.get("Authorization"))
            answer = {}
            if self.path.endswith("/repos/create"):
                seen["created"].append(json.loads(body))
                answer = {"url": "https://huggingface.co/me/mine", "name": "me/mine"}
            elif "/preupload/" in self.path:
                files = json.loads(body)["files"]
                answer = {"files": [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in files
                ]}  # fmt: skip
            elif "/commit/" in self.path:
                lines = [json.loads(line) for line in body.splitlines()]
                seen["paths"] += [x["value"]["path"] for x in lines if x["key"] == "file"]
                done = "https://huggingface.co/me/mine/commit/c0"  # only such an address is parsed
                answer = {"success": True, "commitOid": "c0", "commitUrl": done}
            said = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST

        def log_message(self, *given: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    real = HfApi.__init__
    monkeypatch.setattr(
        HfApi, "__init__", lambda self, **given: real(self, endpoint=address, token="hf_key")
    )
    yield seen
    server.shutdown()
    server.server_close()


def test_a_merged_model_is_sent_to_a_hub(vizer, disk, adapter, hub, tmp_path):
    out = tmp_path / "whole"
    done = vizer(
        "merge", adapter, "--model", disk.smolvlm, "--out", out, "--push-to-hub", "me/mine"
    )
    assert done.exit_code == 0, done.output
    assert "sent to" in done.stdout and hub["keys"] == {"Bearer hf_key"}
    (made,) = hub["created"]
    assert made["name"] == "mine" and "private" in (made.get("visibility"), *made)
    assert {"config.json", "README.md", "model.safetensors"} <= set(hub["paths"])


def test_a_hub_that_is_out_of_reach_costs_no_folder(vizer, disk, adapter, monkeypatch, tmp_path):
    from huggingface_hub import HfApi

    def refuse(*given, **more):
        raise ConnectionError("no route")

    monkeypatch.setattr(HfApi, "create_repo", refuse)
    out = tmp_path / "whole"
    done = vizer(
        "merge", adapter, "--model", disk.smolvlm, "--out", out, "--push-to-hub", "me/mine"
    )
    assert done.exit_code == 1 and "is written, but the hub did not take it" in done.stderr
    assert (out / "config.json").is_file()
    done = vizer("merge", adapter, "--model", disk.smolvlm, "--out", tmp_path / "b",
                 "--push-to-hub", "mine")  # fmt: skip
    assert done.exit_code == 2 and "wanted OWNER/NAME" in done.stderr
