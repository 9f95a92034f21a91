"""The encoder equals the model's own forward, and says what is wrong with its input."""

from __future__ import annotations

import json
import logging

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

from vizer_core.clip import OpenClipEncoder
from vizer_core.clip.loading import preprocess_for
from vizer_core.shapes import unit_norm

CUSTOM_TEXT = config_with(custom_text=True)
EOS_POOL = config_with(text={"pool_type": "eos", "eos_id": 39}, custom_text=True)
SIGLIP_LIKE_TEXT = config_with(
    text={"no_causal_mask": True, "pool_type": "last", "proj_bias": True},
    custom_text=True,
    init_logit_bias=-10,
)
TEXTS = ["w1 w2", "w3", "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10", "w5 w5 w5 w9", "w3"]


def own_text_features(encoder: OpenClipEncoder, texts: list[str]) -> torch.Tensor:
    tokens = tiny_tokenizer(texts, context=12)
    with torch.no_grad():
        return unit_norm(encoder.model.encode_text(tokens))


@pytest.mark.parametrize("config", [CONFIG, CUSTOM_TEXT, EOS_POOL])
def test_trimmed_text_equals_the_full_context_forward(config):
    encoder = tiny_encoder(config)
    got = encoder.encode_text(TEXTS, batch_size=2)
    assert (got - own_text_features(encoder, TEXTS)).abs().max() < 1e-5
    assert got[1].equal(got[4])


def test_trimming_really_shortens_the_input():
    encoder = tiny_encoder()
    lengths = []
    encoder.model.transformer.register_forward_pre_hook(
        lambda _, args: lengths.append(args[0].shape[1])
    )
    encoder.encode_text(["w1", "w2 w3 w4", "w2"], batch_size=2)
    assert lengths == [3, 5]


def test_equal_texts_are_encoded_once():
    encoder, rows = tiny_encoder(), []
    encoder.model.transformer.register_forward_pre_hook(
        lambda _, args: rows.append(args[0].shape[0])
    )
    assert encoder.encode_text(["w1", "w2", "w1", "w1"]).shape == (4, 16)
    assert rows == [2]


def test_a_two_way_text_tower_runs_untrimmed():
    encoder = tiny_encoder(SIGLIP_LIKE_TEXT)
    encoder._tokenizer = lambda texts: tiny_tokenizer(texts, context=12)
    got = encoder.encode_text(TEXTS)
    assert (got - own_text_features(encoder, TEXTS)).abs().max() < 1e-5


def test_text_does_not_depend_on_its_batch():
    encoder = tiny_encoder()
    together = encoder.encode_text(TEXTS)
    alone = torch.cat([encoder.encode_text([text]) for text in TEXTS])
    assert (together - alone).abs().max() < 1e-5


def test_long_captions_are_truncated_keep_their_end_and_are_counted(caplog):
    encoder = tiny_encoder()
    long = " ".join(f"w{i}" for i in range(1, 25))
    with caplog.at_level(logging.WARNING):
        got = encoder.encode_text([long, "w1"])
    assert "1 of 2 texts are longer than 12 tokens" in caplog.text
    assert (got - own_text_features(encoder, [long, "w1"])).abs().max() < 1e-5
    ten_words = " ".join(f"w{i}" for i in range(1, 11))  # fits exactly: start, 10 words, end
    assert (got[:1] - encoder.encode_text([ten_words])).abs().max() < 1e-5
    caplog.clear()
    encoder.encode_text([ten_words])
    assert caplog.text == ""


def test_image_features_equal_encode_image_and_are_unit_norm():
    encoder, images = tiny_encoder(), noise_images(5)
    pixels = torch.stack([encoder.preprocess(image) for image in images])
    with torch.no_grad():
        own = unit_norm(encoder.model.encode_image(pixels))
    got = encoder.encode_image(images, batch_size=2)
    assert (got - own).abs().max() < 1e-5
    assert got.dtype == torch.float32
    assert (got.norm(dim=-1) - 1).abs().max() < 1e-6
    assert encoder.encode_image(pixels).shape == (5, 16)


def test_features_can_feed_a_trained_layer():
    encoder = tiny_encoder()
    layer = torch.nn.Linear(16, 2)
    layer(encoder.encode_text(["w1"])).sum().backward()
    assert layer.weight.grad is not None


def test_half_precision_towers_still_give_float32_unit_features():
    from open_clip import convert_weights_to_lp

    half = tiny_model()
    convert_weights_to_lp(half, dtype=torch.bfloat16)
    encoder = OpenClipEncoder.from_model(
        half, preprocess=preprocess_for(half, {}), tokenizer=tiny_tokenizer, name="half"
    )
    images = noise_images(3)
    reference = tiny_encoder()
    close = torch.nn.functional.cosine_similarity
    assert close(encoder.encode_image(images), reference.encode_image(images)).min() > 0.99
    assert close(encoder.encode_text(TEXTS), reference.encode_text(TEXTS)).min() > 0.99
    states, wanted = encoder.image_states(images), reference.image_states(images)
    assert states.attention.dtype == torch.float32
    assert (states.attention - wanted.attention).abs().max() < 0.05


def test_properties():
    encoder = tiny_encoder()
    assert encoder.embed_dim == 16
    assert encoder.image_size == (32, 32)
    assert encoder.patch_grid == (4, 4)
    assert encoder.text_length == 12
    assert encoder.logit_scale == pytest.approx(1 / 0.07, rel=1e-4)
    assert encoder.device == torch.device("cpu")


def test_fingerprint_follows_weights_and_architecture():
    one = tiny_encoder(seed=0).fingerprint
    assert one == tiny_encoder(seed=0).fingerprint
    assert one != tiny_encoder(seed=1).fingerprint
    assert one != tiny_encoder(config_with(quick_gelu=True)).fingerprint
    assert one != tiny_encoder(config_with(vision={"pool_type": "avg"})).fingerprint


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


def test_bundled_tokenizer_truncates_like_open_clip(tmp_path, caplog):
    import open_clip

    from vizer_core.clip import loading

    config = config_with(text={"vocab_size": loading.OPENAI_VOCABULARY})
    path = tmp_path / "tiny.safetensors"
    save_file(loading.build_model(config).state_dict(), path)
    encoder = OpenClipEncoder.from_checkpoint(config, path)
    texts = ["a cat sat on the mat " * 5, "a dog"]
    with caplog.at_level(logging.WARNING):
        got = encoder.encode_text(texts)
    assert "1 of 2 texts" in caplog.text
    with torch.no_grad():
        own = unit_norm(encoder.model.encode_text(open_clip.tokenize(texts, context_length=12)))
    assert (got - own).abs().max() < 1e-5


def test_a_foreign_vocabulary_needs_its_tokenizer(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_file(tiny_model().state_dict(), path)
    with pytest.raises(ValueError, match="pass tokenizer="):
        OpenClipEncoder.from_checkpoint(CONFIG, path)


def test_wrong_input_is_named():
    encoder = tiny_encoder()
    with pytest.raises(ValueError, match="wanted a list of at least one text"):
        encoder.encode_text("a cat")
    with pytest.raises(ValueError, match="wanted a list of at least one text"):
        encoder.encode_text([])
    with pytest.raises(ValueError, match="no images"):
        encoder.encode_image([])
    with pytest.raises(ValueError, match=r"wanted \[b, 3, 32, 32\]"):
        encoder.encode_image(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ValueError, match="images 0 to 1 hold NaN"):
        encoder.encode_image(torch.full((2, 3, 32, 32), torch.nan))
    encoder._tokenizer = lambda texts: torch.full((len(texts), 4), 99)
    with pytest.raises(ValueError, match="gave id 99"):
        encoder.encode_text(["w1"])
    encoder._tokenizer = lambda texts: torch.tensor([[38, 1, 39, 0], [38, 1, 2, 3]])
    with pytest.raises(ValueError, match="1 of 2 token rows hold no end token"):
        encoder.encode_text(["w1", "w1 w2 w3"])


def test_a_training_model_is_refused():
    encoder = tiny_encoder()
    encoder.model.train()
    with pytest.raises(ValueError, match="training mode"):
        encoder.encode_text(["w1"])
    with pytest.raises(ValueError, match="training mode"):
        encoder.encode_image(noise_images(1))


def test_a_thing_that_is_no_model_is_refused():
    with pytest.raises(ValueError, match="wanted an open_clip model"):
        OpenClipEncoder.from_model(
            torch.nn.Linear(2, 2), preprocess=lambda i: i, tokenizer=tiny_tokenizer, name="x"
        )


def test_broken_weights_raise_instead_of_giving_nan():
    encoder = tiny_encoder()
    with torch.no_grad():
        encoder.model.visual.proj[0, 0] = torch.nan
    with pytest.raises(ValueError, match="hold NaN or inf"):
        encoder.encode_image(noise_images(2))


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

    words = {word: place + 1 for place, word in enumerate(WORDS)} | {"<pad>": 0, "<s>": 38}
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
    with pytest.raises(FileNotFoundError, match=r"holds no open_clip_config\.json"):
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
