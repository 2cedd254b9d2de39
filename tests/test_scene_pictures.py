"""Pictures inside mesh files, and the older specular-glossiness materials that need their texels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from glb import Glb, good, png
from PIL import Image
from test_scene_file import TRIANGLE, UV, one, painted

from castex.scene_file import Limits
from castex.scene_file.colour import linear_bytes, mean_linear, srgb_bytes
from castex.scene_file.pictures import Pictures
from castex.scene_file.specular import Glossy, converted

GLOSSY = "KHR_materials_pbrSpecularGlossiness"


def encoded(picture, kind="PNG"):
    stream = io.BytesIO()
    picture.save(stream, format=kind)
    return stream.getvalue()


def decoded(data, **limits):
    pictures = Pictures(Limits(**limits))
    pictures.add("a", data)
    return pictures.rgb("a"), pictures.alpha("a"), pictures.notes


def test_modes_become_eight_bit_colour():
    rgb = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    rgba = np.concatenate([rgb, np.zeros((5, 7, 1), np.uint8)], axis=-1)
    sixteen = (rgb[..., 0].astype(np.uint16) << 8) + 77
    few = Image.fromarray(rgb).quantize(16)
    cases = {
        "colour": (encoded(Image.fromarray(rgb)), rgb),
        "transparent": (encoded(Image.fromarray(rgba)), rgb),
        "grey": (encoded(Image.fromarray(rgb[..., 0])), rgb[..., :1].repeat(3, axis=-1)),
        "16 bit": (encoded(Image.fromarray(sixteen)), rgb[..., :1].repeat(3, axis=-1)),
        "palette": (encoded(few), np.asarray(few.convert("RGB"))),
    }
    for name, (data, expected) in cases.items():
        found, alpha, notes = decoded(data)
        assert np.array_equal(found, expected) and notes == [], name
        assert (alpha == (0 if name == "transparent" else 255)).all(), name


def test_large_pictures_are_reduced_without_losing_hidden_colour():
    """Transparent texels keep their colour: glossiness lives in the alpha channel."""
    rgba = np.zeros((64, 128, 4), np.uint8)
    rgba[..., 0] = 200
    found, alpha, _ = decoded(encoded(Image.fromarray(rgba)), picture_side=32)
    assert found.shape == (16, 32, 3) and (found[..., 0] == 200).all()
    assert alpha.shape == (16, 32) and (alpha == 0).all()


def test_many_pictures_share_the_memory():
    pictures = Pictures(Limits(kept_pixels=4 * 128 * 128))
    for k in range(16):
        pictures.add(str(k), png(np.full((256, 256, 3), k, np.uint8)))
    shapes = {pictures.rgb(str(k)).shape for k in range(16)}
    assert shapes == {(64, 64, 3)} and len(pictures.notes) == 1


def test_broken_and_missing_pictures_become_notes():
    pictures = Pictures(Limits())
    pictures.add("gone", None)
    pictures.add("bad", b"\x89PNG\r\n\x1a\nrest")
    assert pictures.rgb("gone") is None and pictures.rgb("bad") is None and len(pictures.notes) == 2


def test_only_plain_raster_formats_are_decoded():
    """PostScript would start another program."""
    assert decoded(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")[0] is None
    assert decoded(encoded(Image.new("RGB", (8, 8)), "ICO"))[0] is None


def test_colours_round_trip():
    codes = np.arange(256, dtype=np.uint8)
    assert np.array_equal(srgb_bytes(linear_bytes(codes)), codes)
    assert mean_linear(np.full((3, 4, 3), 188, np.uint8))[0] == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("metal", [0.0, 1.0])
def test_specular_glossiness_is_the_inverse_of_the_metallic_workflow(metal):
    """A colour put into diffuse and specular by the metallic workflow comes back."""
    base = np.array([0.7, 0.4, 0.2])
    diffuse = base * (1 - 0.04) * (1 - metal) / (1 - 0.04)
    specular = 0.04 * (1 - metal) + base * metal
    albedo, roughness, metallic = converted(Glossy(tuple(diffuse), tuple(specular), 0.75))
    assert np.allclose(linear_bytes(albedo)[0, 0], base, atol=0.01)
    assert metallic[0, 0] == round(255 * metal) and roughness[0, 0] == round(255 * 0.25)


def test_specular_glossiness_pictures_of_different_sizes():
    diffuse = np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    gloss = np.array([[0, 255], [255, 0]], np.uint8)
    dark = np.full((2, 2, 3), srgb_bytes(np.array([0.03])), np.uint8)
    white = (1.0, 1.0, 1.0)
    albedo, roughness, metallic = converted(Glossy(white, white, 1.0, diffuse, dark, gloss))
    assert np.abs(albedo.astype(int) - diffuse).max() <= 2 and not metallic.any()
    assert np.array_equal(roughness, 255 - gloss.repeat(2, axis=0).repeat(2, axis=1))


def test_specular_glossiness_in_a_file(tmp_path):
    glb = Glb()
    made = glb.primitive(TRIANGLE, TEXCOORD_0=UV)
    shine = np.zeros((2, 2, 4), np.uint8)
    shine[..., 3] = 51
    made["material"] = glb.material(
        extensions={
            GLOSSY: {
                "diffuseFactor": [0.5, 0.25, 0.125, 1],
                "specularGlossinessTexture": {"index": glb.texture(png(shine))},
            }
        }
    )
    glb.node(made)
    _, material, scene = one(glb, tmp_path)
    assert (material.roughness_picture == 204).all() and (material.metallic_picture == 0).all()
    colour = linear_bytes(material.albedo_picture)[0, 0]
    assert np.allclose(colour, np.array([0.5, 0.25, 0.125]) / 0.96, atol=0.01) and len(scene.notes) == 1


def test_ktx2_textures_are_left_out(tmp_path):
    glb = painted(np.zeros((2, 2, 3), np.uint8))
    glb.gltf["textures"][0] = {"extensions": {"KHR_texture_basisu": {"source": 0}}}
    glb.gltf["extensionsRequired"] = ["KHR_texture_basisu"]
    _, material, scene = one(glb, tmp_path)
    assert material.albedo_picture is None and "KTX2" in scene.notes[0]


def test_a_zero_factor_needs_no_picture(tmp_path):
    glb = good()
    glb.gltf["materials"][0]["pbrMetallicRoughness"]["metallicFactor"] = 0.0
    from castex.scene_file import load_scene

    material = load_scene(glb.write(tmp_path / "a.glb")).materials[0]
    assert (
        material.metallic_picture is None
        and material.metallic == 0
        and material.roughness_picture is not None
    )
