"""The encoder equals the model's own forward, and says what is wrong with its input."""

from __future__ import annotations

import logging

import pytest
import torch
from safetensors.torch import save_file
from tiny_clip import (
    CONFIG,
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
    assert encoder.logit_scale == pytest.approx(1 / 0.07, rel=1e-4)
    assert encoder.device == torch.device("cpu")


def test_fingerprint_follows_weights_and_architecture():
    one = tiny_encoder(seed=0).fingerprint
    assert one == tiny_encoder(seed=0).fingerprint
    assert one != tiny_encoder(seed=1).fingerprint
    assert one != tiny_encoder(config_with(quick_gelu=True)).fingerprint
    assert one != tiny_encoder(config_with(vision={"pool_type": "avg"})).fingerprint


def test_coca_encodes_as_open_clip_does(tmp_path):
    """Its text tower is the only one that knows its vocabulary, and it looks both ways."""
    import open_clip

    from vizer_core.clip import loading

    text = {"context_length": 12, "vocab_size": loading.OPENAI_VOCABULARY, "width": 32, "heads": 2,
            "layers": 2}  # fmt: skip
    tower = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
    pooled = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    config = {
        "embed_dim": 16,
        "vision_cfg": tower | pooled,
        "text_cfg": text | {"embed_cls": True, "output_tokens": True},
        "multimodal_cfg": text | {"attn_pooler_heads": 2},
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = loading.build_model(config).eval()
    torch.save(model.state_dict(), tmp_path / "coca.pt")
    encoder = OpenClipEncoder.from_checkpoint(config, tmp_path / "coca.pt")
    tokens = open_clip.tokenize(["a cat", "two dogs on a mat"], context_length=12)
    with torch.no_grad():
        wanted = model.encode_text(tokens)
        pixels = torch.stack([encoder.preprocess(image) for image in noise_images(2)])
        seen = model.encode_image(pixels)
    found = encoder.encode_text(["a cat", "two dogs on a mat"])
    assert torch.allclose(found, wanted, atol=1e-5)
    assert torch.allclose(encoder.encode_image(noise_images(2)), seen, atol=1e-5)


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
    with pytest.raises(ValueError, match="images 0 to 1 contain NaN"):
        encoder.encode_image(torch.full((2, 3, 32, 32), torch.nan))
    encoder._tokenizer = lambda texts: torch.full((len(texts), 4), 99)
    with pytest.raises(ValueError, match="gave id 99"):
        encoder.encode_text(["w1"])
    encoder._tokenizer = lambda texts: torch.tensor([[38, 1, 39, 0], [38, 1, 2, 3]])
    with pytest.raises(ValueError, match="1 of 2 token rows contain no end token"):
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
    with pytest.raises(ValueError, match="contain NaN or inf"):
        encoder.encode_image(noise_images(2))
