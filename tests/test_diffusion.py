"""The autoencoder behind the Codec contract."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from castex.diffusion import WEIGHTS_FILE, load_codec
from castex.errors import WeightsError
from castex.protocols import Codec
from castex.weights import write_sums


@pytest.fixture
def copy(tiny_vae, tmp_path):
    shutil.copytree(tiny_vae, tmp_path / "vae")
    return tmp_path / "vae"


def test_codec_meets_its_protocol_and_scales_its_codes(tiny_vae, stream):
    from diffusers import AutoencoderKL

    codec = load_codec(tiny_vae)
    image = torch.rand(2, 3, 32, 48, generator=stream)
    code = codec.encode(image)
    assert isinstance(codec, Codec)
    assert code.shape == (2, 4, 4, 6) and (codec.stride, codec.channels) == (8, 4)
    network = AutoencoderKL.from_pretrained(tiny_vae, low_cpu_mem_usage=False).eval()
    with torch.no_grad():
        theirs = network.encode(2 * image - 1).latent_dist.mean * network.config["scaling_factor"]
        torch.testing.assert_close(code, theirs)
        decoded = network.decode(theirs / network.config["scaling_factor"]).sample
    torch.testing.assert_close(codec.decode(code), ((decoded + 1) / 2).clamp(0, 1))


def test_gradients_reach_the_image_and_not_the_weights(tiny_vae, stream):
    codec = load_codec(tiny_vae)
    image = torch.rand(1, 3, 16, 16, generator=stream, requires_grad=True)
    codec.encode(image).square().sum().backward()
    assert torch.isfinite(image.grad).all() and image.grad.abs().max() > 0


def test_half_precision_files_are_widened(tiny_vae, tmp_path, stream):
    from diffusers import AutoencoderKL

    AutoencoderKL.from_pretrained(tiny_vae, low_cpu_mem_usage=False).half().save_pretrained(tmp_path / "h")
    write_sums(tmp_path / "h", ["config.json", WEIGHTS_FILE])
    image = torch.rand(1, 3, 16, 16, generator=stream)
    half, full = load_codec(tmp_path / "h").encode(image), load_codec(tiny_vae).encode(image)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=2e-2, rtol=0)


def test_identity_changes_with_the_weights(copy, tiny_vae):
    assert load_codec(copy).identity == load_codec(tiny_vae).identity
    (copy / "config.json").write_text((copy / "config.json").read_text().replace("0.5", "0.25"))
    write_sums(copy, ["config.json", WEIGHTS_FILE])
    assert load_codec(copy).identity != load_codec(tiny_vae).identity


def test_altered_weights_are_named(copy):
    content = bytearray((copy / WEIGHTS_FILE).read_bytes())
    content[-5] ^= 1
    (copy / WEIGHTS_FILE).write_bytes(bytes(content))
    with pytest.raises(WeightsError, match=r"diffusion_pytorch_model\.safetensors is altered"):
        load_codec(copy)


def test_truncated_weights_are_named(copy):
    (copy / WEIGHTS_FILE).write_bytes((copy / WEIGHTS_FILE).read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"diffusion_pytorch_model\.safetensors is altered or truncated"):
        load_codec(copy)


def test_a_pickle_is_not_read(copy):
    (copy / WEIGHTS_FILE).rename(copy / "diffusion_pytorch_model.bin")
    write_sums(copy, ["config.json", "diffusion_pytorch_model.bin"])
    with pytest.raises(WeightsError, match=r"pickles above all\) are not read"):
        load_codec(copy)


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.safetensors.index.json", "extra.bin"])
def test_weights_that_nobody_checked_are_refused(copy, name):
    (copy / name).write_text("{}")
    with pytest.raises(WeightsError, match="is not listed in the folder's checksums"):
        load_codec(copy)


def test_another_class_is_named(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"_class_name": "UNet2DModel"}))
    write_sums(copy, ["config.json", WEIGHTS_FILE])
    with pytest.raises(WeightsError, match="describes a UNet2DModel; an AutoencoderKL is needed"):
        load_codec(copy)


def test_a_config_that_does_not_fit_its_weights(copy):
    config = json.loads((copy / "config.json").read_text())
    config["block_out_channels"] = [8, 8, 16, 32]
    (copy / "config.json").write_text(json.dumps(config))
    write_sums(copy, ["config.json", WEIGHTS_FILE])
    with pytest.raises(WeightsError, match="cannot be loaded as an AutoencoderKL"):
        load_codec(copy)


def test_the_shipped_autoencoder_is_whole_and_small(root):
    folder = root / "data" / "mini" / "sd"
    codec = load_codec(folder)
    assert (codec.stride, codec.channels) == (8, 4)
    assert 200_000 <= codec.parameters <= 2_000_000
    assert (folder / "vae" / WEIGHTS_FILE).stat().st_size < 6_000_000
