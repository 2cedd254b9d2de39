"""Tiny random models of every class, in the layout of the real repositories; fixtures that save them once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from castex.weights import SUMS, write_sums

TEXT_WIDTH, CLIP_WIDTH, TOKENS = 32, 24, 77
WORDS = ["a red brick vase, front view", "a golden car, side view", "a zebra mug, top view", "blue marble"]


def sums(folder: Path) -> Path:
    """Write SHA256SUMS over every file of a folder."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    write_sums(folder, [name for name in names if name != SUMS])
    return folder


def deepfloyd_unet(**changes):
    from diffusers import UNet2DConditionModel

    torch.manual_seed(3)
    settings = {
        "sample_size": 32,
        "in_channels": 3,
        "out_channels": 6,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
        "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "cross_attention_dim": TEXT_WIDTH,
        "encoder_hid_dim": TEXT_WIDTH,
        "attention_head_dim": 8,
        "addition_embed_type": "text",
        "addition_embed_type_num_heads": 2,
        "cross_attention_norm": "group_norm",
        "resnet_time_scale_shift": "scale_shift",
        "act_fn": "gelu",
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**settings | changes).eval()


def upsampler_unet():
    return deepfloyd_unet(
        sample_size=64, in_channels=6, class_embed_type="timestep", only_cross_attention=True
    )


def stable_unet():
    from diffusers import UNet2DConditionModel

    torch.manual_seed(4)
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=CLIP_WIDTH,
        attention_head_dim=8,
        norm_num_groups=8,
    ).eval()


def controlnet(unet):
    """A ControlNet whose last convolutions are random: at their initial zeros it would do nothing."""
    from diffusers import ControlNetModel

    network = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8, 8, 8)).eval()
    for module in (*network.controlnet_down_blocks, network.controlnet_mid_block):
        torch.nn.init.normal_(module.weight, std=0.3)
    torch.nn.init.normal_(network.controlnet_cond_embedding.conv_out.weight, std=30.0)
    return network


def t5():
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(5)
    config = T5Config(
        vocab_size=256,
        d_model=TEXT_WIDTH,
        d_ff=48,
        d_kv=8,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
    )
    return T5EncoderModel(config).eval()


def clip_text():
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(6)
    config = CLIPTextConfig(
        vocab_size=300,
        hidden_size=CLIP_WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        bos_token_id=298,
        eos_token_id=299,
        pad_token_id=299,
    )
    return CLIPTextModel(config).eval()


def sentencepiece_tokenizer(folder):
    """The layout of the published checkpoints: SentencePiece's own file and two of transformers'."""
    import sentencepiece

    folder.mkdir(parents=True)
    with (folder / "spiece.model").open("wb") as stream:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(WORDS * 20),
            model_writer=stream,
            model_type="unigram",
            vocab_size=60,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            hard_vocab_limit=False,
            minloglevel=2,
        )
    specials = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    config = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "model_max_length": 512, **specials}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").write_text(json.dumps(specials))


def json_tokenizer(folder):
    """The other layout: one tokenizer.json."""
    from transformers import T5Tokenizer

    pieces = ["<pad>", "</s>", "<unk>", "▁", *sorted(set("".join(WORDS)) - {" "})]
    vocabulary = [(piece, 0.0 if k < 3 else -2.0) for k, piece in enumerate(pieces)]
    T5Tokenizer(vocab=vocabulary, extra_ids=0).save_pretrained(folder)


def clip_tokenizer(folder):
    """A byte-level tokenizer without merges."""
    from transformers import CLIPTokenizer

    letters = [chr(k) for k in range(33, 127)]
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    vocabulary = {token: k for k, token in enumerate(tokens)}
    vocabulary |= {"<|startoftext|>": 298, "<|endoftext|>": 299}
    CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=TOKENS).save_pretrained(folder)


def deepfloyd_scheduler(largest=1.5):
    from diffusers import DDPMScheduler

    return DDPMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="epsilon",
        variance_type="learned_range",
        thresholding=True,
        dynamic_thresholding_ratio=0.95,
        sample_max_value=largest,
    )


def noising_scheduler():
    from diffusers import DDPMScheduler

    return DDPMScheduler(beta_schedule="squaredcos_cap_v2")


def stable_scheduler(prediction="epsilon"):
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type=prediction,
        clip_sample=False,
    )


def vae():
    from diffusers import AutoencoderKL

    torch.manual_seed(7)
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=128,
    ).eval()


def pipeline_index(folder, pipeline, **parts):
    """The file by which diffusers' pipelines find their parts."""
    import diffusers

    folder.mkdir(parents=True, exist_ok=True)
    index = {"_class_name": pipeline, "_diffusers_version": diffusers.__version__, **parts}
    (folder / "model_index.json").write_text(json.dumps(index))


IF_PARTS = {
    "feature_extractor": [None, None],
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDPMScheduler"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "T5Tokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "watermarker": [None, None],
}


def build_if_m(folder):
    pipeline_index(folder, "IFPipeline", **IF_PARTS)
    deepfloyd_unet().save_pretrained(folder / "unet")
    deepfloyd_scheduler().save_pretrained(folder / "scheduler")
    t5().save_pretrained(folder / "text_encoder")
    sentencepiece_tokenizer(folder / "tokenizer")


def build_if_ii(folder):
    noising = {"image_noising_scheduler": ["diffusers", "DDPMScheduler"]}
    pipeline_index(folder, "IFSuperResolutionPipeline", **IF_PARTS | noising)
    upsampler_unet().save_pretrained(folder / "unet")
    deepfloyd_scheduler(1.0).save_pretrained(folder / "scheduler")
    noising_scheduler().save_pretrained(folder / "image_noising_scheduler")
    t5().save_pretrained(folder / "text_encoder")
    json_tokenizer(folder / "tokenizer")


def build_sd(folder):
    pipeline_index(
        folder,
        "StableDiffusionPipeline",
        feature_extractor=[None, None],
        image_encoder=[None, None],
        requires_safety_checker=False,
        safety_checker=[None, None],
        scheduler=["diffusers", "DDIMScheduler"],
        text_encoder=["transformers", "CLIPTextModel"],
        tokenizer=["transformers", "CLIPTokenizer"],
        unet=["diffusers", "UNet2DConditionModel"],
        vae=["diffusers", "AutoencoderKL"],
    )
    stable_unet().half().save_pretrained(folder / "unet", variant="fp16")
    stable_scheduler().save_pretrained(folder / "scheduler")
    vae().save_pretrained(folder / "vae")
    clip_text().save_pretrained(folder / "text_encoder")
    clip_tokenizer(folder / "tokenizer")


def build_controlnet_depth(folder):
    controlnet(stable_unet()).save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory) -> Path:
    """A folder with if_m, if_ii, sd and controlnet_depth, each with its SHA256SUMS."""
    root = tmp_path_factory.mktemp("tiny_models")
    for name, build in (
        ("if_m", build_if_m),
        ("if_ii", build_if_ii),
        ("sd", build_sd),
        ("controlnet_depth", build_controlnet_depth),
    ):
        build(root / name)
        sums(root / name)
    return root


@pytest.fixture
def own_model(tiny_models, tmp_path):
    """A function that gives a private copy of one of them, to be damaged by a test."""

    def copy(name):
        shutil.copytree(tiny_models / name, tmp_path / name)
        return tmp_path / name

    return copy
