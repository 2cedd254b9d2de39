"""The corpus: shards, ground truth, halves, resumption, the same bytes for any number of workers."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from castex.errors import InputError
from castex.files import sha256, write_json
from castex.settings.shot import ShotSettings
from castex.settings.training import CorpusSettings
from castex.training.captions import UNTEXTURED, held_out
from castex.training.corpus import HALVES, KINDS, pictures_per_pair, shard_list
from castex.training.corpus_data import read_corpus
from castex.training.corpus_run import CorpusJob, make_corpus
from castex.training.lights import drawn_panorama
from castex.training.materials import COLOURS, MATERIALS

MESHES = Path(__file__).parents[1] / "data/mini/meshes"
SMALL = CorpusSettings(
    size=32, atlas=32, shots=1, lights=2, light_side=32, materials=["plain", "striped"],
    shot=ShotSettings(views=2, distance=3.9, distance_spread=0.2),
)  # fmt: skip


def job(folder, *, meshes=("bowl",), held=False, settings=SMALL):
    paths = tuple(MESHES / f"{name}.glb" for name in meshes)
    return CorpusJob(settings=settings, meshes=paths, held_out=held, device="cpu", folder=folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(job(folder))
    return folder


def test_every_pair_but_the_held_out_ones_is_there(corpus):
    record = json.loads((corpus / "corpus.json").read_text())
    assert set(record["shards"]) == {"bowl-plain.safetensors", "bowl-striped.safetensors"}
    shard = load_file(corpus / "shards/bowl-striped.safetensors")
    colours = {tuple(COLOURS)[k] for k in shard["facts"][:, 1].tolist()}
    assert colours == {c for c in COLOURS if not held_out("striped", c)} and len(colours) == 7
    assert len(shard["facts"]) == 7 * pictures_per_pair(SMALL) == 7 * 4
    assert record["pictures"] == 2 * 28
    for name, digest in record["shards"].items():
        assert sha256(corpus / "shards" / name) == digest


def test_layers_agree_with_each_other(corpus):
    shard = load_file(corpus / "shards/bowl-plain.safetensors")
    seen = shard["depth"][:, 0] > 0
    assert 0.1 < seen.float().mean() < 0.9
    # Where nothing is seen there is one background colour per picture and no material.
    assert shard["albedo"].movedim(1, -1)[~seen].max() == 0
    for picture, mask in zip(shard["image"], seen, strict=True):
        assert (picture[:, ~mask] == picture[:, ~mask][:, :1]).all()
    # A plain white bowl is white where it is seen; a black one is black.
    for colour, bound in (("white", (190, 256)), ("black", (0, 10))):
        rows = shard["facts"][:, 1] == tuple(COLOURS).index(colour)
        values = shard["albedo"].movedim(1, -1)[rows][seen[rows]].float()
        assert bound[0] <= values.mean() < bound[1]
    # Depth: the nearest point of each picture is white, the farthest visible one dark but not black.
    for depth, mask in zip(shard["depth"][:, 0], seen, strict=True):
        assert depth.max() == 255 and 40 < depth[mask].min() < 120
    # Rough and not metallic, as the material says.
    surface = shard["surface"].movedim(1, -1)[seen].float() / 255
    assert abs(surface[:, 0].mean() - 0.45) < 0.02 and surface[:, 1].max() == 0


def test_pictures_are_not_all_alike(corpus):
    shard = load_file(corpus / "shards/bowl-striped.safetensors")
    flat = shard["image"].float().flatten(1)
    distances = torch.cdist(flat, flat) + 1e9 * torch.eye(len(flat))
    assert distances.min() > 100
    assert len(set(shard["facts"][:, 4].tolist())) == 2, "both lights are used"


def test_the_bytes_do_not_depend_on_workers_and_an_interrupted_run_continues(corpus, tmp_path):
    record = make_corpus(job(tmp_path), workers=2)
    wanted = json.loads((corpus / "corpus.json").read_text())["shards"]
    assert record["shards"] == wanted
    # A run that was killed: one shard is missing, another stays as it is.
    (tmp_path / "corpus.json").unlink()
    (tmp_path / "shards/bowl-plain.safetensors").unlink()
    kept = (tmp_path / "shards/bowl-striped.safetensors").stat().st_mtime_ns
    assert make_corpus(job(tmp_path))["shards"] == wanted
    assert (tmp_path / "shards/bowl-striped.safetensors").stat().st_mtime_ns == kept


def test_shards_of_other_settings_are_not_mixed_in(corpus, tmp_path):
    make_corpus(job(tmp_path, settings=SMALL.model_copy(update={"materials": ["plain"]})))
    changed = SMALL.model_copy(update={"materials": ["plain"], "seed": 1})
    record = make_corpus(job(tmp_path, settings=changed))
    old = json.loads((corpus / "corpus.json").read_text())["shards"]
    assert record["shards"]["bowl-plain.safetensors"] != old["bowl-plain.safetensors"]


def test_the_held_out_set_has_all_pairs_other_lights_and_grey_objects(tmp_path):
    record = make_corpus(job(tmp_path, meshes=("mug",), held=True))
    assert record["lights"] == ["studio", "sky", "sunset"]
    assert set(record["shards"]) == {f"mug-{m}.safetensors" for m in ("plain", "striped", UNTEXTURED)}
    pictures = read_corpus(tmp_path, "both", layers=("albedo", "depth"))
    grey = pictures.facts[:, 1] == KINDS.index(UNTEXTURED)
    seen = pictures.layers["depth"][grey][:, 0] > 0
    assert set(pictures.layers["albedo"][grey].movedim(1, -1)[seen].unique().tolist()) <= {127, 128}
    assert {tuple(COLOURS)[k] for k in pictures.facts[~grey][:, 2].tolist()} == set(COLOURS)


def test_halves_are_disjoint_and_reduced_pictures_are_means(corpus):
    both = read_corpus(corpus, "both")
    halves = [read_corpus(corpus, half, size=16) for half in HALVES]
    assert [len(h) for h in halves] == [28, 28] and len(both) == 56
    assert halves[0].identity != halves[1].identity
    whole = read_corpus(corpus, "models")
    mean = torch.nn.functional.avg_pool2d(whole.layers["image"].float(), 2)
    assert (mean - halves[0].layers["image"].float()).abs().max() <= 0.5
    index = torch.tensor([0, 5])
    first = whole.captions(index, torch.Generator().manual_seed(3))
    assert first == whole.captions(index, torch.Generator().manual_seed(3))
    assert whole.facts_of(0).mesh == "bowl" and whole.facts_of(0).material in MATERIALS


def test_shards_that_were_altered_or_cut_off_are_made_again(corpus, tmp_path):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(corpus, folder)
    wanted = json.loads((corpus / "corpus.json").read_text())["shards"]
    path = folder / "shards/bowl-plain.safetensors"
    for damage in (path.read_bytes()[:-1] + b"?", path.read_bytes()[:500]):
        path.write_bytes(damage)
        with pytest.raises(InputError, match=r"bowl-plain.safetensors is missing or altered"):
            read_corpus(folder, "models")
        record = make_corpus(job(folder))
        assert record["shards"] == wanted and sha256(path) == wanted[path.name]
        assert record["rendered"] == 28, "the other shard was kept"


def test_no_record_speaks_of_a_corpus_that_is_being_made(corpus, tmp_path, monkeypatch):
    import shutil

    from castex.training import corpus_run

    folder = tmp_path / "copy"
    shutil.copytree(corpus, folder)
    monkeypatch.setattr(corpus_run, "_make", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        make_corpus(job(folder, settings=SMALL.model_copy(update={"seed": 1})))
    with pytest.raises(InputError, match="holds no finished corpus"):
        read_corpus(folder, "models")


def test_the_bytes_do_not_depend_on_threads(corpus, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        record = make_corpus(job(tmp_path))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert record["shards"] == json.loads((corpus / "corpus.json").read_text())["shards"]


def test_reduced_by_the_filter_of_synthesis(corpus):
    whole, small = read_corpus(corpus, "models"), read_corpus(corpus, "models", size=16, resize="bilinear")
    wanted = torch.nn.functional.interpolate(
        whole.layers["image"].float(), (16, 16), mode="bilinear", antialias=True
    )
    assert (wanted - small.layers["image"].float()).abs().max() <= 0.5
    assert small.identity != read_corpus(corpus, "models", size=16).identity


def test_bad_input_gets_one_sentence(corpus, tmp_path):
    with pytest.raises(InputError, match="holds no finished corpus"):
        read_corpus(tmp_path, "models")
    with pytest.raises(InputError, match="cannot be reduced to 20"):
        read_corpus(corpus, "models", size=20)
    with pytest.raises(InputError, match="half='none' is unknown"):
        read_corpus(corpus, "none")
    write_json(tmp_path / "corpus.json", [])
    with pytest.raises(InputError, match="no record of a corpus"):
        read_corpus(tmp_path, "models")
    write_json(tmp_path / "corpus.json", {"shards": {}})
    with pytest.raises(InputError, match="holds no pictures for 'models'"):
        read_corpus(tmp_path, "models")
    with pytest.raises(InputError, match=r"corpus.materials names the unknown 'velvet'"):
        make_corpus(job(tmp_path, settings=SMALL.model_copy(update={"materials": ["plain", "velvet"]})))
    with pytest.raises(InputError, match=r"corpus.meshes names the unknown 'bowlll'"):
        make_corpus(job(tmp_path, settings=SMALL.model_copy(update={"meshes": ["bowl", "bowlll"]})))


def test_a_whole_corpus_lists_each_mesh_in_each_material():
    work = shard_list(CorpusSettings(), ["vase", "car"], everything=False)
    assert len(work) == 24 and sum(len(w.pairs) for w in work) == 2 * (10 * 7 + 2 * 8)
    everything = shard_list(CorpusSettings(), ["mug"], everything=True)
    assert len(everything) == 13 and sum(len(w.pairs) for w in everything) == 12 * 8 + 1


def test_drawn_lights_are_repeatable_different_and_neither_dark_nor_burnt():
    lights = [drawn_panorama(k, seed=0) for k in range(4)]
    assert torch.equal(lights[1], drawn_panorama(1, seed=0))
    assert not torch.equal(lights[1], drawn_panorama(1, seed=1))
    for light in lights:
        polar = (torch.arange(256) + 0.5) / 256 * torch.pi
        mean = (light.mean((1, 2)) * polar.sin()).sum() / polar.sin().sum()
        assert 0.7 < mean < 1.2 and light.min() > 0


def test_the_verb_writes_the_record(tmp_path, capsys):
    from castex.cli import main

    write_json(tmp_path / "settings.json", SMALL.model_dump(mode="json"))
    code = main(
        ["corpus", "--settings", str(tmp_path / "settings.json"), "--meshes", str(MESHES / "bowl.glb"),
         "--output", str(tmp_path / "corpus")]
    )  # fmt: skip
    assert code == 0 and "56 pictures in 2 shards" in capsys.readouterr().out
    assert main(
        ["corpus", "--settings", str(tmp_path / "settings.json"), "--meshes", str(MESHES / "bowl.glb"),
         "--workers", "0", "--output", str(tmp_path / "other")]
    ) != 0  # fmt: skip
    assert "--workers is 0" in capsys.readouterr().err
