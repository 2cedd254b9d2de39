"""One stage: it converges, resumes to the same bytes whatever kills it, refuses what cannot be textured."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch
from surfaces import random_light, random_maps, sphere
from synthesis import KNOWN, TEXELS, Counted, pull, settings, task

from castex.cascade import KnownTexture
from castex.checkpoint import load
from castex.errors import InputError, NonFiniteGradient
from castex.maps import grey_maps
from castex.maps_file import maps_bytes
from castex.mesh import Mesh
from castex.render import MeshRenderer
from castex.settings.shot import ShotSettings
from castex.settings.synthesis import AdamSettings, StageSettings
from castex.shot import sample_shot
from castex.synthesise import (
    OneLook,
    checked_prompt,
    contact_sheet,
    roughness_of,
    stage_fingerprint,
    synthesise,
    trace_rows,
)

FORK = multiprocessing.get_context("fork")


def ended(chosen, folder, *, seed=0, guide=None, given=None):
    made = synthesise(task(chosen, seed=seed, given=given), guide or pull(chosen), checkpoints=folder)
    return maps_bytes(made.maps), made


def test_the_point_mass_at_renders_of_known_maps_is_descended_to(tmp_path):
    """Figure 2 in three dimensions: the albedo of visible texels is found to within the light's ambiguity."""
    chosen = settings(steps=60, views=4, learned=("albedo",), checkpoint_every=1000)
    given = dataclasses.replace(KNOWN, albedo=grey_maps(TEXELS).albedo)
    chosen = chosen.model_copy(update={"texture": chosen.texture.model_copy(update={"initial": "given"})})
    _, made = ended(chosen, tmp_path, given=given, guide=pull(chosen, size=32))
    # Rows near the poles are hardly ever seen from 60 degrees.
    seen = slice(3, -3)
    before = (given.albedo - KNOWN.albedo)[seen].abs().mean()
    after = (made.maps.albedo - KNOWN.albedo)[seen].abs().mean()
    assert after < 0.3 * before
    assert torch.equal(made.maps.roughness, KNOWN.roughness)


@pytest.mark.parametrize("kind", ["explicit", "dip", "hash-grid"])
def test_every_parameterisation_gets_nearer(kind, tmp_path):
    rate = 0.15 if kind == "hash-grid" else 0.03
    chosen = settings(steps=16, kind=kind, learning_rate=rate, checkpoint_every=1000)
    mesh, light = sphere(12, 12), random_light(torch.Generator().manual_seed(5))
    shot = sample_shot(ShotSettings(views=6, distance_spread=0), generator=torch.Generator().manual_seed(77))
    render = MeshRenderer(mesh, light, 32)

    def distance(maps):
        return float((render(maps, shot) - render(KNOWN, shot)).square().mean())

    still = chosen.model_copy(
        update={"adam": chosen.adam.model_copy(update={"learning_rate": 0.0, "steps": 1})}
    )
    start, made = (ended(s, tmp_path / str(k))[1] for k, s in enumerate((still, chosen)))
    assert distance(made.maps) < 0.8 * distance(start.maps)


def test_zero_learning_rate_is_the_identity(tmp_path):
    chosen = settings(steps=3, learning_rate=0.0)
    assert ended(chosen, tmp_path)[0] == maps_bytes(grey_maps(TEXELS))


def test_the_learning_rate_falls_by_a_tenth_every_hundred_steps():
    rows = trace_rows(StageSettings(), [(k, {"gradient_norm": 1.0}) for k in (1, 100, 101, 500)]).splitlines()
    assert rows[0] == "step,gradient_norm,learning_rate"
    rates = [float(row.split(",")[2]) for row in rows[1:]]
    assert rates == pytest.approx([0.01, 0.01, 0.009, 0.01 * 0.9**4])


def test_one_look_gives_the_bits_of_the_renderer(stream):
    mesh, light = sphere(8, 8), random_light(stream)
    renderer = MeshRenderer(mesh, light, 32)
    one = OneLook(MeshRenderer(mesh, light, 32))
    maps = [random_maps(8, 8, stream) for _ in range(2)]
    for _ in range(2):
        shot = sample_shot(ShotSettings(views=2), generator=stream)
        other = dataclasses.replace(shot, background=torch.tensor([1.0, 0.0, 0.5]))
        for seen in (shot, other):
            for each in maps:
                assert torch.equal(one(each, seen), renderer(each, seen))


def test_a_resumed_run_says_where_and_keeps_its_trace(tmp_path):
    chosen = settings()

    def dies(k):
        if k == 7:
            raise KeyboardInterrupt

    straight, whole = ended(chosen, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        ended(chosen, tmp_path / "b", guide=lambda *a: Counted(pull(chosen)(*a), dies))
    resumed, again = ended(chosen, tmp_path / "b")
    assert (whole.first_step, again.first_step) == (0, 6)
    assert resumed == straight and again.trace == whole.trace
    assert [step for step, _ in whole.trace] == [2, 4, 6, 8, 10, 12]


def test_snapshots_are_the_maps_of_their_steps_and_survive_a_kill(tmp_path):
    chosen = settings(snapshots=(2, 5, 12))

    def dies(k):
        if k == 8:
            raise KeyboardInterrupt

    short = settings(steps=12).model_copy(update={"adam": chosen.adam.model_copy(update={"snapshots": ()})})
    with pytest.raises(KeyboardInterrupt):
        ended(chosen, tmp_path / "a", guide=lambda *a: Counted(pull(chosen)(*a), dies))
    # Another task in the same folder leaves them alone.
    with pytest.raises(KeyboardInterrupt):
        ended(short, tmp_path / "a", seed=1, guide=lambda *a: Counted(pull(chosen)(*a), dies))
    content, made = ended(chosen, tmp_path / "a")
    straight, whole = ended(chosen, tmp_path / "b")
    assert content == straight == maps_bytes(made.snapshots[12]) == ended(short, tmp_path / "c")[0]
    assert list(made.snapshots) == [2, 5, 12]
    assert all(maps_bytes(made.snapshots[k]) == maps_bytes(whole.snapshots[k]) for k in (2, 5))
    assert maps_bytes(made.snapshots[2]) != maps_bytes(made.snapshots[5])


@pytest.mark.parametrize(
    ("kind", "noise"),
    [("explicit", "fixed"), ("explicit", "cached"), ("dip", "cached"), ("hash-grid", "fixed")],
)
def test_all_that_is_kept_from_step_to_step_survives(kind, noise, tmp_path):
    chosen = settings(noise=noise, kind=kind, learning_rate=0.01)

    def dies(k):
        if k == 5:
            raise KeyboardInterrupt

    straight = ended(chosen, tmp_path / "a")[0]
    with pytest.raises(KeyboardInterrupt):
        ended(chosen, tmp_path / "b", guide=lambda *a: Counted(pull(chosen)(*a), dies))
    assert ended(chosen, tmp_path / "b")[0] == straight


def test_a_bad_gradient_stops_the_run_and_keeps_the_last_good_state(tmp_path):
    """NaN at step k: nothing is applied, the state before k is saved, and a mended run goes on from there."""
    chosen = settings(checkpoint_every=1000)
    straight = ended(chosen, tmp_path / "a")[0]
    with pytest.raises(NonFiniteGradient, match="base gradient of step 7 holds NaN"):
        ended(chosen, tmp_path / "b", guide=lambda *a: Counted(pull(chosen)(*a), bad=7))
    kept = load(tmp_path / "b", settings=task(chosen).fingerprint)
    assert kept is not None and kept.step == 7
    assert all(torch.isfinite(v).all() for k, v in kept.tensors.items() if k.startswith("texture."))
    mended, made = ended(chosen, tmp_path / "b")
    assert made.first_step == 7 and mended == straight


def test_a_checkpoint_belongs_to_settings_seed_and_identity(tmp_path):
    one = settings()
    keys = {
        stage_fingerprint(one, 0, "a", "x"),
        stage_fingerprint(one, 1, "a", "x"),
        stage_fingerprint(one, 0, "b", "x"),
        stage_fingerprint(one, 0, "a", "y"),
        stage_fingerprint(settings(noise="fixed"), 0, "a", "x"),
    }
    assert len(keys) == 5


def in_a_child(chosen, folder, output, seed=0, tick=None):
    """Run a task in this process and leave its bytes; `tick` is a pipe that hears of every step."""
    torch.set_num_threads(1)

    def told(_):
        if tick is not None:
            os.write(tick, b".")

    content, _ = ended(chosen, folder, seed=seed, guide=lambda *a: Counted(pull(chosen)(*a), told))
    output.write_bytes(content)


def test_the_same_seed_gives_the_same_bytes_in_two_processes(tmp_path):
    chosen, contents = settings(), []
    for k, seed in enumerate((3, 3, 4)):
        child = FORK.Process(target=in_a_child, args=(chosen, tmp_path / f"c{k}", tmp_path / f"{k}", seed))
        child.start()
        child.join()
        contents.append((tmp_path / f"{k}").read_bytes())
    assert contents[0] == contents[1] == ended(chosen, tmp_path / "here", seed=3)[0]
    assert contents[0] != contents[2]


def killed_and_continued(chosen, folder, after, straight):
    """SIGKILL when the child has begun step `after`; the next one must end like an unharmed run."""
    ear, mouth = os.pipe()
    child = FORK.Process(target=in_a_child, args=(chosen, folder / "c", folder / "o", 0, mouth))
    child.start()
    os.close(mouth)
    heard = 0
    while heard <= after:
        heard += len(os.read(ear, 1))
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    os.close(ear)
    assert child.exitcode == -signal.SIGKILL and not (folder / "o").exists()
    content, made = ended(chosen, folder / "c")
    assert content == straight
    return made.first_step


def kill_at_random(points, folder, seed):
    chosen = settings(steps=12)
    straight = ended(chosen, folder / "straight")[0]
    firsts = []
    for k, after in enumerate(np.random.default_rng(seed).integers(0, 12, size=points)):
        (folder / str(k)).mkdir()
        firsts.append(killed_and_continued(chosen, folder / str(k), int(after), straight))
    return firsts


def test_killed_at_any_point_ends_with_the_same_bytes(tmp_path):
    assert max(kill_at_random(5, tmp_path, seed=1)) > 0


@pytest.mark.long
def test_killed_at_fifty_points_ends_with_the_same_bytes(tmp_path):
    assert len(set(kill_at_random(50, tmp_path, seed=2))) > 5


def flattened(mesh, scale):
    return Mesh(mesh.v_position * scale, mesh.v_normal, mesh.v_tangent, mesh.v_texcoord, mesh.t_vertex_idx)


@pytest.mark.parametrize("scale", [torch.zeros(3), torch.tensor([0.0, 1.0, 0.0])])
def test_a_mesh_that_nobody_sees_is_refused(scale, tmp_path):
    """A point and a line: no camera sees a texel of them."""
    with pytest.raises(InputError, match="no texel of the mesh is visible"):
        synthesise(task(mesh=flattened(sphere(8, 8), scale)), pull(settings()), checkpoints=tmp_path)


def test_given_maps_are_needed_and_wanted(tmp_path):
    chosen = settings(initial="given")
    with pytest.raises(InputError, match="needs maps to begin with"):
        ended(chosen, tmp_path)
    with pytest.raises(InputError, match="begins without given maps"):
        ended(settings(), tmp_path, given=KNOWN)
    broken = dataclasses.replace(KNOWN, albedo=KNOWN.albedo * float("nan"))
    with pytest.raises(InputError, match="NaN"):
        ended(chosen, tmp_path, given=broken)


def test_smoothness_is_off_by_default_and_calms_the_maps(tmp_path):
    assert StageSettings().texture.smoothness == 0
    rough = {
        weight: roughness_of(
            ended(settings(steps=10, initial="random", smoothness=weight), tmp_path / f"{weight}")[1].maps
        )
        for weight in (0.0, 1000.0)
    }
    assert rough[1000.0] < 0.8 * rough[0.0]


def test_previews_come_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr("castex.synthesise.SHEET_SIZE", 16)
    seen = []
    monkeypatch.setattr("castex.synthesise.write_picture", lambda path, picture: seen.append(picture.shape))
    chosen = settings(steps=5)
    chosen = chosen.model_copy(update={"adam": AdamSettings(steps=5, preview_every=2)})
    synthesise(task(chosen), pull(chosen), checkpoints=tmp_path, preview=tmp_path / "p.png")
    assert seen == [(1, 3, 32, 64)] * 3, "steps 2, 4 and 5"


def test_the_contact_sheet_shows_the_maps(monkeypatch):
    monkeypatch.setattr("castex.synthesise.SHEET_SIZE", 16)
    light = random_light(torch.Generator().manual_seed(5))
    red = grey_maps(8)
    red = dataclasses.replace(red, albedo=torch.tensor([0.9, 0.0, 0.0]).expand(8, 8, 3).contiguous())
    picture = contact_sheet(sphere(12, 12), red, light)
    assert picture.shape == (1, 3, 32, 64)
    assert picture[:, 0].mean() > picture[:, 1].mean() + 0.1


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t"])
def test_an_empty_prompt_is_refused(prompt):
    with pytest.raises(InputError, match="prompt is empty"):
        checked_prompt(prompt)


def test_a_prompt_of_broken_bytes_is_refused_and_any_text_is_not():
    with pytest.raises(InputError, match="no text"):
        checked_prompt("a vase \udcff")
    for prompt in ("../../etc/passwd", "$(rm -rf /); `id`", "花瓶", "a 'vase' \"red\""):
        assert checked_prompt(f" {prompt} ") == prompt


def test_the_known_texture_is_a_guidance_without_a_network():
    assert isinstance(pull(settings())(lambda maps, shot: None, KNOWN, {}), KnownTexture)
