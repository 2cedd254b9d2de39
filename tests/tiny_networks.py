"""Tiny random networks in the layouts of the real model folders, without weights."""

from __future__ import annotations

import json

from castex.weights import write_sums

UNET = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 16,
    "in_channels": 3,
    "out_channels": 6,
    "block_out_channels": [16, 32],
    "layers_per_block": 1,
    "down_block_types": ["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "up_block_types": ["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
    "norm_num_groups": 8,
    "attention_head_dim": 8,
    "cross_attention_dim": 32,
    "cross_attention_norm": "group_norm",
    "encoder_hid_dim": 32,
    "addition_embed_type": "text",
    "addition_embed_type_num_heads": 2,
    "resnet_time_scale_shift": "scale_shift",
    "act_fn": "gelu",
}
LATENT = {
    "sample_size": 8,
    "in_channels": 4,
    "block_out_channels": [16, 32],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "layers_per_block": 1,
    "cross_attention_dim": 32,
    "attention_head_dim": 2,
    "norm_num_groups": 8,
}
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
T5 = {
    "d_model": 32,
    "d_ff": 64,
    "d_kv": 8,
    "num_layers": 1,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
}
CONFIGS = {
    "if_xl": {
        "unet": UNET,
        "text_encoder": {"architectures": ["T5EncoderModel"], "vocab_size": 64, **T5},
    },
    "if_ii": {"unet": UNET | {"sample_size": 32, "in_channels": 6, "class_embed_type": "timestep"}},
    "sd": {
        "unet": {
            "_class_name": "UNet2DConditionModel",
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
            **LATENT,
        },
        "text_encoder": {"architectures": ["CLIPTextModel"], "vocab_size": 64, **TEXT},
        "vae": {
            "_class_name": "AutoencoderKL",
            "sample_size": 64,
            "block_out_channels": [8, 8, 8, 8],
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "norm_num_groups": 4,
        }
        | {"in_channels": 3, "latent_channels": 4},
    },
    "controlnet_depth": {
        "": {
            "_class_name": "ControlNetModel",
            "conditioning_embedding_out_channels": [8, 16],
            **{key: value for key, value in LATENT.items() if key != "sample_size"},
        }
    },
    "clip": {
        "": {
            "architectures": ["CLIPModel"],
            "projection_dim": 16,
            "text_config": {"vocab_size": 64, **TEXT},
            "vision_config": {"image_size": 32, "patch_size": 8, **TEXT},
        }
    },
}


def write_folders(root):
    """One folder per model: its configurations and their checksums. Returns the folders by name."""
    folders = {}
    for name, parts in CONFIGS.items():
        files = []
        for part, config in parts.items():
            file = f"{part}/config.json".lstrip("/")
            (root / name / part).mkdir(parents=True, exist_ok=True)
            (root / name / file).write_text(json.dumps(config))
            files.append(file)
        write_sums(root / name, files)
        folders[name] = root / name
    return folders
