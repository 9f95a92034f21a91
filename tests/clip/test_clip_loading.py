"""Weights from files, folders and tags: what loads, how, and what is said of what does not."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from safetensors.torch import save_file
from tiny_clip import (
    CONFIG,
    END,
    WORDS,
    config_with,
    noise_images,
    tiny_encoder,
    tiny_model,
    tiny_tokenizer,
)

from vizer_core.cli.encoders import clip_encoder
from vizer_core.clip import OpenClipEncoder, loading

TEXTS = ["w1 w2", "w3", "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10", "w5 w5 w5 w9", "w3"]


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_from_checkpoint_gives_the_same_features(tmp_path, suffix):
    encoder, path = tiny_encoder(), tmp_path / f"model{suffix}"
    weights = encoder.model.state_dict()
    (save_file if suffix == ".safetensors" else torch.save)(weights, path)
    config = {"model_cfg": CONFIG, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    loaded = OpenClipEncoder.from_checkpoint(config, path, tokenizer=tiny_tokenizer)
    assert loaded.encode_text(TEXTS).equal(encoder.encode_text(TEXTS))
    assert loaded.fingerprint == encoder.fingerprint
    white = noise_images(1)[0].point(lambda _: 255)
    assert loaded.preprocess(white).unique().tolist() == [1.0]  # (1 - 0.5) / 0.5
    assert encoder.preprocess(white).max() > 1.5  # CLIP's own mean and std


def test_half_precision_files_load(tmp_path):
    encoder, path = tiny_encoder(), tmp_path / "half.safetensors"
    save_file({key: value.half() for key, value in encoder.model.state_dict().items()}, path)
    loaded = OpenClipEncoder.from_checkpoint(CONFIG, path, tokenizer=tiny_tokenizer)
    assert (loaded.encode_text(TEXTS) - encoder.encode_text(TEXTS)).abs().max() < 0.01


def test_quick_gelu_changes_the_features(tmp_path):
    encoder, path = tiny_encoder(), tmp_path / "model.safetensors"
    save_file(encoder.model.state_dict(), path)
    quick = OpenClipEncoder.from_checkpoint(CONFIG, path, tokenizer=tiny_tokenizer, quick_gelu=True)
    assert (quick.encode_text(TEXTS) - encoder.encode_text(TEXTS)).abs().max() > 1e-4


def test_wrong_checkpoints_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        OpenClipEncoder.from_checkpoint(CONFIG, tmp_path / "none.pt", tokenizer=tiny_tokenizer)
    path = tmp_path / "model.safetensors"
    save_file(tiny_model().state_dict(), path)
    other = config_with(vision={"width": 64})
    with pytest.raises(ValueError, match="does not fit the model"):
        OpenClipEncoder.from_checkpoint(other, path, tokenizer=tiny_tokenizer)
    for name, content in [("a.safetensors", b"no header"), ("b.pt", b"no archive"), ("c.pt", b"")]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="not a readable checkpoint"):
            OpenClipEncoder.from_checkpoint(CONFIG, tmp_path / name, tokenizer=tiny_tokenizer)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a cat sits on a mat\nand a dog\n", "is not a readable checkpoint"),
        (b"hello", "is not a readable checkpoint"),
        (b"(((", "is not a readable checkpoint"),
        ([1, 2], "contains no weights by name: wanted what"),
        (7, "contains no weights by name"),
        ({}, "contains no weights by name"),
        ({"state_dict": [1]}, "contains no weights by name"),
        ({"state_dict": {"logit_scale": "x"}}, "contains no weights by name"),
        ({3: torch.zeros(2)}, "contains no weights by name"),
        (torch.zeros(3), "contains no weights by name"),
        ({"epoch": 3}, "does not fit the model"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["w.pt", "w.bin", "weights"])
def test_what_holds_no_weights_is_named_in_one_line(content, message, name, tmp_path):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message) as caught:
        OpenClipEncoder.from_checkpoint(CONFIG, path, tokenizer=tiny_tokenizer)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "other",
    [
        config_with(text={"width": 64, "heads": 2}),
        config_with(text={"vocab_size": 50}),
        config_with(vision={"width": 64}),
        config_with(text={"layers": 3}),
        CONFIG | {"embed_dim": 24},
    ],
    ids=range(5),
)
def test_weights_of_another_size_are_named(other, tmp_path):
    path = tmp_path / "other.pt"
    torch.save(tiny_model(other).state_dict(), path)
    with pytest.raises(ValueError, match=r"other\.pt does not fit the model: \w.*configuration\?"):
        OpenClipEncoder.from_checkpoint(CONFIG, path, tokenizer=tiny_tokenizer)


def test_a_pickle_is_refused(tmp_path):
    path = tmp_path / "whole.pt"
    torch.save(tiny_model(), path)
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        OpenClipEncoder.from_checkpoint(CONFIG, path, tokenizer=tiny_tokenizer)


def test_unknown_names_list_near_ones():
    with pytest.raises(ValueError, match=r"no model 'vit-b-23'; near names: .*ViT-B-32"):
        OpenClipEncoder.from_pretrained("vit-b-23", "openai")
    with pytest.raises(ValueError, match=r"no pretrained tag 'opnai'; its tags: openai"):
        OpenClipEncoder.from_pretrained("ViT-B-32", "opnai")


def test_missing_weights_without_a_hub_say_so_at_once(monkeypatch):
    from vizer_core.clip import loading

    monkeypatch.setattr(loading, "_cached", lambda entry: None)
    monkeypatch.setattr(loading, "_has_address", lambda host: False)
    monkeypatch.setattr(loading.urllib.request, "getproxies", dict)
    wanted = (
        r"weights 'openai' of 'ViT-B-32' are not on this machine.*is out of reach.*quick_gelu=True"
    )
    with pytest.raises(FileNotFoundError, match=wanted):
        OpenClipEncoder.from_pretrained("ViT-B-32", "openai")


def test_pretrained_weights_bring_their_activation(monkeypatch, tmp_path):
    from vizer_core.clip import loading

    path = tmp_path / "tiny.safetensors"
    config = config_with(text={"vocab_size": loading.OPENAI_VOCABULARY, "context_length": 20})
    save_file(loading.build_model(config).state_dict(), path)
    monkeypatch.setattr(loading, "model_config", lambda name: config)
    monkeypatch.setattr(loading, "fetch_weights", lambda name, tag: path)
    for tag, activation in [("openai", "QuickGELU"), ("laion2b_s34b_b79k", "GELU")]:
        encoder = OpenClipEncoder.from_pretrained("ViT-B-32", tag)
        used = type(encoder.model.visual.transformer.resblocks[0].mlp.gelu).__name__
        assert used == activation
        assert encoder.encode_text(["a photo of a cat"]).shape == (1, 16)


def test_a_models_own_activation_is_kept_whatever_the_tag_leaves_out(monkeypatch, tmp_path):
    """roberta-ViT-B-32 was trained with QuickGELU; its configuration says so, its tag does not."""
    from vizer_core.clip import loading

    assert loading.model_config("roberta-ViT-B-32")["quick_gelu"] is True
    assert not loading.tag_config("roberta-ViT-B-32", "laion2b_s12b_b32k").get("quick_gelu")
    path = tmp_path / "tiny.safetensors"
    config = config_with(
        text={"vocab_size": loading.OPENAI_VOCABULARY, "context_length": 20}, quick_gelu=True
    )
    save_file(loading.build_model(config).state_dict(), path)
    monkeypatch.setattr(loading, "model_config", lambda name: dict(config))
    monkeypatch.setattr(loading, "fetch_weights", lambda name, tag: path)
    encoder = OpenClipEncoder.from_pretrained("ViT-B-32", "laion2b_s34b_b79k")
    assert type(encoder.model.visual.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"


def test_only_the_names_that_are_known_to_say_their_activation_alone_do():
    """Should open_clip list another whose name and tag disagree, look at its weights first."""
    import open_clip

    alone = [
        (name, tag)
        for name in open_clip.list_models()
        if open_clip.get_model_config(name).get("quick_gelu")
        for tag in open_clip.list_pretrained_tags_by_model(name)
        if not open_clip.get_pretrained_cfg(name, tag).get("quick_gelu")
    ]
    assert alone == [("roberta-ViT-B-32", "laion2b_s12b_b32k")]


class Marked(torch.nn.Module):
    """OpenAI's archives hold three numbers beside the weights, and those in half precision."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        for name, part in model.named_children():
            setattr(self, name, part)
        for name, value in model.named_parameters(recurse=False):
            setattr(self, name, value)
        for name in loading.OPENAI_MARKS:
            self.register_buffer(name, torch.tensor(7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def archived(path, model):
    """Write a model as a TorchScript archive."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that torch.jit is on its way out
        torch.jit.trace(model, torch.zeros(1)).save(str(path))
    return path


def test_the_weights_of_openais_own_archives_are_read(tmp_path):
    config = config_with(quick_gelu=True)
    path = archived(tmp_path / "ViT-B-32.pt", Marked(tiny_model(config)).half())
    encoder = OpenClipEncoder.from_checkpoint(config, path, tokenizer=tiny_tokenizer)
    wanted = tiny_model(config)
    for name, value in encoder.model.state_dict().items():
        assert torch.equal(value, wanted.state_dict()[name].half().float())
    with pytest.raises(ValueError, match=r"trained with QuickGELU: give quick_gelu=True"):
        OpenClipEncoder.from_checkpoint(CONFIG, path, tokenizer=tiny_tokenizer)


def test_an_archive_of_something_else_does_not_fit(tmp_path):
    path = archived(tmp_path / "ViT-B-32.pt", torch.nn.Linear(1, 2))
    with pytest.raises(ValueError, match="does not fit the model"):
        OpenClipEncoder.from_checkpoint(CONFIG, path, tokenizer=tiny_tokenizer)


def test_names_with_a_scheme_are_told_what_to_give_instead(tmp_path):
    with pytest.raises(ValueError, match=r"load_clip\('hf-hub:laion/CLIP-x'\) reads it without a"):
        OpenClipEncoder.from_pretrained("hf-hub:laion/CLIP-x", "openai")
    with pytest.raises(ValueError, match=r"name a folder, .*from_folder\('/data/clip'\)"):
        OpenClipEncoder.from_checkpoint("local-dir:/data/clip", tmp_path / "x.pt")
    with pytest.raises(FileNotFoundError, match="laion/CLIP-x was not found in the local cache"):
        clip_encoder("hf-hub:laion/CLIP-x", None, "cpu", False)


def test_a_repository_of_the_hub_is_read_as_its_folder(tmp_path, monkeypatch):
    folder = tmp_path / "clip"
    saved_folder(folder, CONFIG)
    asked = []

    def snapshot(name, *, allow_patterns, local_files_only):
        asked.append((name, local_files_only))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    for name in ("hf-hub:laion/CLIP-x", f"local-dir:{folder}"):
        assert loading.folder_of_scheme(name) == folder
    assert asked == [("laion/CLIP-x", True)] and loading.folder_of_scheme("ViT-B-32") is None


def saved_folder(folder, config, tokenizer=None):
    from safetensors.torch import save_file

    folder.mkdir()
    model = tiny_model(config)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    settings = {"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return model


def test_a_folder_as_on_the_hub_loads_with_clips_own_words(tmp_path):
    import open_clip

    config = config_with(text={"context_length": 77, "vocab_size": 49408})
    model = saved_folder(tmp_path / "clip", config)
    loaded = OpenClipEncoder.from_folder(tmp_path / "clip")
    texts = ["a cat", "two dogs on a red sofa"]
    with torch.no_grad():
        wanted = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(texts), normalize=True)
    torch.testing.assert_close(loaded.encode_text(texts), wanted)
    assert loaded.preprocess(noise_images(1)[0]).abs().max() <= 1  # mean and std of the folder


def test_a_folder_brings_its_own_tokenizer(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {word: index + 1 for index, word in enumerate(WORDS)} | {"<pad>": 0, "<s>": 38}
    core = Tokenizer(models.WordLevel(words | {"</s>": END}, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 38), ("</s>", END)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    config = config_with(text={"hf_tokenizer_name": "somebody/words"})
    saved_folder(tmp_path / "clip", config, tokenizer)
    loaded = OpenClipEncoder.from_folder(tmp_path / "clip")
    texts = ["w1 w2", "w3"]
    torch.testing.assert_close(loaded.encode_text(texts), tiny_encoder().encode_text(texts))


def test_what_a_folder_lacks_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no open_clip_config\.json"):
        OpenClipEncoder.from_folder(tmp_path)
    (tmp_path / "open_clip_config.json").write_text('{"embed_dim": 16}')
    with pytest.raises(ValueError, match='has no "model_cfg"'):
        OpenClipEncoder.from_folder(tmp_path)
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG}))
    with pytest.raises(FileNotFoundError, match=r"no weights: wanted open_clip_model\.safetens"):
        OpenClipEncoder.from_folder(tmp_path)
    saved_folder(tmp_path / "clip", CONFIG)
    with pytest.raises(ValueError, match="has 40 token ids, not CLIP's own 49408"):
        OpenClipEncoder.from_folder(tmp_path / "clip")
