"""Pictures for people: antialiased edges, straight alpha, films; and the verbs that make them."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from surfaces import constant_light, plain_maps, sphere

from castex import film
from castex.cli import main
from castex.errors import InputError
from castex.maps import linear_to_srgb, srgb_to_linear
from castex.maps_file import read_maps, write_maps
from castex.mesh import write_mesh
from castex.photograph import fitting_distance, photographs, sheet, straight
from castex.shot import fixed_shot


@pytest.fixture(scope="module")
def ball():
    return sphere(32, 32), plain_maps(0.5, 1.0, 0.0), constant_light()


def taken(ball, **kwargs):
    mesh, maps, light = ball
    shot = fixed_shot([0.0], [0.0], **kwargs)
    ((picture, alpha),) = photographs(mesh, maps, light, shot, size=64, supersample=3)
    return picture, alpha, shot


def test_edges_are_blended_in_linear_light(ball):
    picture, alpha, _ = taken(ball)
    assert set(alpha.unique().tolist()) > {0.0, 1.0}, "some pixels are covered in part"
    edge = (alpha > 0) & (alpha < 1)
    inside = srgb_to_linear(picture)[0, 0, 32, 32]
    blend = srgb_to_linear(picture)[:, :1][edge]
    expected = inside * alpha[edge] + (1 - alpha[edge])
    # Shading changes a little towards the silhouette, by the coat's grazing light.
    assert (blend - expected).abs().max() < 0.1


def test_a_bright_sample_does_not_make_an_edge_white():
    """Light a hundred times too bright: an edge pixel is as white as its coverage, over black."""
    mesh, maps = sphere(32, 32), plain_maps(0.5, 1.0, 0.0)
    shot = fixed_shot([0.0], [0.0], background=(0.0, 0.0, 0.0))
    ((picture, alpha),) = photographs(mesh, maps, constant_light(100.0), shot, size=64, supersample=3)
    torch.testing.assert_close(srgb_to_linear(picture)[:, :1], alpha, atol=1e-4, rtol=0)


def test_straight_alpha_goes_over_any_background(ball):
    picture, alpha, shot = taken(ball, background=(0.2, 0.4, 0.9))
    other, _, elsewhere = taken(ball, background=(1.0, 1.0, 1.0))
    rgba = straight(picture, alpha, shot.background)
    over = srgb_to_linear(rgba[:, :3]) * rgba[:, 3:] + (1 - rgba[:, 3:]) * elsewhere.background[:, None, None]
    torch.testing.assert_close(linear_to_srgb(over), other, atol=2e-3, rtol=0)


def test_the_fitting_distance_shows_everything(ball):
    mesh = ball[0]
    shot = fixed_shot([0.0, 45.0], [0.0, 60.0], distance=fitting_distance(mesh, 30.0))
    for _, alpha in photographs(*ball, shot, size=64):
        rim = torch.cat([alpha[0, 0, 0], alpha[0, 0, -1], alpha[0, 0, :, 0], alpha[0, 0, :, -1]])
        assert rim.max() == 0 and alpha.mean() > 0.6


def test_a_sheet_is_filled_up_with_white():
    made = sheet([torch.zeros(1, 3, 4, 4)] * 3, columns=2)
    assert made.shape == (1, 3, 8, 8) and made[..., 4:, 4:].min() == 1 and made[..., :4, :].max() == 0


def frames(count):
    return [torch.full((1, 3, 9, 11), k / count) for k in range(count)]


def test_a_gif_has_all_frames():
    with Pillow.open(io.BytesIO(film.gif_bytes(frames(7)))) as opened:
        assert opened.n_frames == 7 and opened.size == (11, 9)
        opened.seek(3)
        assert np.asarray(opened.convert("RGB")).mean() == pytest.approx(255 * 3 / 7, abs=6)
    with pytest.raises(InputError, match="at least one"):
        film.gif_bytes([])


def test_the_gif_is_there_whatever_ffmpeg_does(mug, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("castex.cli.render.FRAMES", 3)
    monkeypatch.setattr(film.shutil, "which", lambda _: "/usr/bin/ffmpeg")

    def hang(command, **kwargs):
        raise subprocess.TimeoutExpired(command, kwargs["timeout"])

    monkeypatch.setattr(film.subprocess, "run", hang)
    assert render(mug, tmp_path, "--turntable") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["turntable.gif"]
    assert "ffmpeg could not write" in capsys.readouterr().err


def test_mp4_only_where_ffmpeg_is(tmp_path, monkeypatch):
    monkeypatch.setattr(film.shutil, "which", lambda _: None)
    assert not film.write_mp4(tmp_path / "a.mp4", frames(2))
    assert list(tmp_path.iterdir()) == []


def test_ffmpeg_gets_raw_frames_and_its_failure_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(film.shutil, "which", lambda _: "/usr/bin/ffmpeg")

    def succeed(command, **kwargs):
        assert len(kwargs["input"]) == 2 * 9 * 11 * 3 and "11x9" in command
        Path(command[-1]).write_bytes(b"film")
        return subprocess.CompletedProcess(command, 0, b"", b"")

    monkeypatch.setattr(film.subprocess, "run", succeed)
    assert film.write_mp4(tmp_path / "a.mp4", frames(2)) and (tmp_path / "a.mp4").read_bytes() == b"film"
    failed = subprocess.CompletedProcess([], 1, b"", b"noise\nUnknown encoder")
    monkeypatch.setattr(film.subprocess, "run", lambda command, **_: failed)
    with pytest.raises(InputError, match="Unknown encoder"):
        film.write_mp4(tmp_path / "b.mp4", frames(2))
    assert not (tmp_path / "b.mp4").exists()


@pytest.fixture
def mug(root):
    return root / "data" / "mini" / "meshes" / "mug.glb"


def render(mug, folder, *options):
    common = [
        "--output",
        str(folder / "out"),
        "--cache",
        str(folder / "cache"),
        "--size",
        "48",
        "--atlas",
        "64",
    ]
    return main(["render", str(mug), *common, *options])


def test_render_writes_views_and_a_sheet(mug, tmp_path, capsys):
    assert render(mug, tmp_path, "--views", "3", "--transparent") == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["sheet.png", "view_000.png", "view_001.png", "view_002.png"]
    with Pillow.open(tmp_path / "out" / "view_000.png") as opened:
        assert opened.mode == "RGBA" and opened.size == (48, 48)
        alpha = np.asarray(opened)[..., 3]
    assert 0 < alpha.mean() < 255 and alpha[0, 0] == 0
    assert "prefiltered" in capsys.readouterr().err
    assert render(mug, tmp_path, "--views", "1") == 0
    assert "prefiltered" not in capsys.readouterr().err, "the light is cached"


def test_render_makes_a_turntable_and_the_evaluation_views(mug, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("castex.cli.render.FRAMES", 5)
    monkeypatch.setattr(film.shutil, "which", lambda _: None)
    assert render(mug, tmp_path, "--turntable") == 0
    with Pillow.open(tmp_path / "out" / "turntable.gif") as opened:
        assert opened.n_frames == 5
    assert "ffmpeg is not installed" in capsys.readouterr().err
    assert render(mug, tmp_path, "--evaluation") == 0
    assert len(list((tmp_path / "out").glob("view_*.png"))) == 20


def test_render_wears_exported_maps_on_their_own_atlas(tmp_path):
    """A mesh without texture coordinates, several sizes: the picture is that of the GLB."""
    import trimesh

    trimesh.creation.icosphere(subdivisions=2).export(tmp_path / "ball.ply")
    made, common = tmp_path / "made", ["--views", "1", "--cache", str(tmp_path / "cache"), "--size", "64"]
    colours = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(32, 0).repeat(32, 1)
    assert main(["export", str(tmp_path / "ball.ply"), "--size", "128", "--output", str(made)]) == 0
    Pillow.fromarray(colours).save(made / "maps" / "albedo.png")
    worn = ["--maps", str(made / "maps")]
    assert main(["export", str(made / "ball.glb"), *worn, "--output", str(tmp_path / "glb")]) == 0
    shown = []
    for mesh, options in ((tmp_path / "ball.ply", worn), (tmp_path / "glb" / "ball.glb", ["--atlas", "128"])):
        output = tmp_path / f"shown{len(shown)}"
        assert main(["render", str(mesh), *options, *common, "--output", str(output)]) == 0
        with Pillow.open(output / "view_000.png") as opened:
            shown.append(np.asarray(opened).astype(float))
    assert np.ptp(shown[0]) > 100
    # 30 dB: seams apart (one is padded, the other not), the same picture; on another atlas it is 8 dB.
    assert np.square(shown[0] - shown[1]).mean() < 255**2 / 10**3


def test_render_wears_given_maps(mug, tmp_path):
    from castex.maps_png import write_maps_png

    write_maps_png(tmp_path / "maps", plain_maps(0.0, 1.0, 0.0, size=64))
    assert render(mug, tmp_path, "--views", "1", "--maps", str(tmp_path / "maps")) == 0
    with Pillow.open(tmp_path / "out" / "view_000.png") as opened:
        assert np.asarray(opened.convert("L"))[24, 24] < 110, "black, but for its coat"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--views", "0"], "--views is 0"),
        (["--size", "100000"], "--size is 100000"),
        (["--light", "moon"], "no generated panorama 'moon'"),
        (["--hdri", "missing.hdr"], "no panorama at missing.hdr"),
        (["--front", "up"], "up"),
        (["--light-rotation", "inf"], "--light-rotation is inf"),
        (["--azimuth", "nan"], "--azimuth is nan"),
        (["--views", "1000", "--size", "2000"], "for 1000 views; choose at most"),
    ],
)
def test_render_refuses_in_one_sentence(mug, tmp_path, capsys, options, reason):
    assert render(mug, tmp_path, *options) == 2
    message = capsys.readouterr().err.strip()
    assert reason in message and "\n" not in message and not (tmp_path / "out").exists()


def test_the_stages_of_the_relighting_exhibit(tmp_path):
    """prefilter, dress, relight: from settings to pictures and numbers."""
    mesh = sphere(32, 32)
    write_mesh(tmp_path / "mesh.safetensors", mesh)
    (tmp_path / "light.json").write_text(json.dumps({"generated": "sky", "side": 32, "intensity": 2.0}))
    (tmp_path / "dress.json").write_text(
        json.dumps({"asset": "ball", "material": "checkered", "colour": "blue", "size": 64})
    )
    light, maps = tmp_path / "sky.safetensors", tmp_path / "maps.safetensors"
    assert main(["prefilter", "--settings", str(tmp_path / "light.json"), "--output", str(light)]) == 0
    dress = ["--mesh", str(tmp_path / "mesh.safetensors"), "--settings", str(tmp_path / "dress.json")]
    assert main(["dress", *dress, "--output", str(maps)]) == 0
    assert read_maps(maps).albedo.shape == (64, 64, 3)
    camera = ["--size", "32", "--azimuth", "0", "--elevation", "0", "--output", str(tmp_path / "lit")]
    where = ["--mesh", str(tmp_path / "mesh.safetensors"), "--maps", str(maps), "--lights", str(light)]
    assert main(["relight", *where, *camera]) == 0
    result = json.loads((tmp_path / "lit" / "result.json").read_text())
    assert 0 < result["luminance"]["sky"] < 1 and result["means"]["metallic"] == 0
    assert {path.name for path in (tmp_path / "lit").iterdir()} == {
        *(f"{name}.png" for name in ("albedo", "roughness", "metallic", "normal", "sky")),
        "result.json",
    }


def test_stages_refuse_what_they_cannot_use(tmp_path, capsys):
    write_mesh(tmp_path / "mesh.safetensors", sphere())
    write_maps(tmp_path / "maps.safetensors", plain_maps(0.5, 0.5, 0.0))
    (tmp_path / "own.json").write_text(json.dumps({"asset": "ball"}))
    (tmp_path / "odd.json").write_text(json.dumps({"asset": "ball", "material": "tartan", "colour": "red"}))
    (tmp_path / "file.json").write_text(json.dumps({"file": "elsewhere"}))
    dress = ["dress", "--mesh", str(tmp_path / "mesh.safetensors"), "--output", str(tmp_path / "no")]
    for command, reason in (
        ([*dress, "--settings", str(tmp_path / "own.json")], "no procedural material"),
        ([*dress, "--settings", str(tmp_path / "odd.json")], "'tartan'"),
        (
            ["prefilter", "--settings", str(tmp_path / "file.json"), "--output", str(tmp_path / "no")],
            "give its --lock",
        ),
    ):
        assert main(command) == 2
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_the_speed_of_a_step_is_compared_with_its_budgets(tmp_path, monkeypatch, root):
    """Small sizes: the record, the table and the promise of repeatable gradients, not the seconds."""
    from castex.cli import measure_render
    from castex.light import prefiltered

    monkeypatch.setattr(measure_render, "TRIANGLES", (60, 200, 300))
    monkeypatch.setattr(
        "castex.light.prefiltered", lambda panorama, side: prefiltered(panorama[::32, ::32], 32)
    )
    budgets = tmp_path / "budgets.yaml"
    budgets.write_text(
        (root / "data" / "render_budgets.yaml").read_text().replace("budget: 2048", "budget: 1")
    )
    files = [
        "--output",
        str(tmp_path / "r.json"),
        "--table",
        str(tmp_path / "r.csv"),
        "--budgets",
        str(budgets),
    ]
    assert main(["measure_render", *files, "--size", "32", "--texels", "32", "--repeats", "2"]) == 0
    record = json.loads((tmp_path / "r.json").read_text())
    assert all(step["repeats_bitwise"] and 0.2 < step["covered"] < 0.7 for step in record["steps"])
    made = [step["triangles"] for step in record["steps"]]
    assert made == pytest.approx([60, 200, 300], rel=0.2)
    table = (tmp_path / "r.csv").read_text().splitlines()
    assert len(table) == 5 and "PASS" in table[1] and "FAIL" in table[4]
