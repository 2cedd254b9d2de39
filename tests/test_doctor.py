"""The doctor: what is there, what is not, and a remedy for each, without opening a socket."""

from __future__ import annotations

import shutil
import socket

import pytest
import yaml
from test_assets import glb

from castex import doctor
from castex.assets import read_sheet
from castex.cli import doctor as verb
from castex.cli._entry import entry
from castex.config import load_config
from castex.doctor import Finding, examine
from castex.fetch.files import record
from castex.files import sha256
from castex.machine import cores, free_disk_bytes, memory_bytes
from castex.settings import ModelSettings
from castex.settings.assets import FileSettings
from castex.weights import write_sums


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.fixture
def place(root, tmp_path, monkeypatch):
    """A checkout with everything for the mini scale; the doctor is in it."""
    for name in ("data", "config"):
        shutil.copytree(root / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def by_subject(findings):
    return {finding.subject: finding for finding in findings}


def lacking(findings):
    return {finding.subject for finding in findings if finding.status == "missing"}


def run(*arguments):
    return entry(verb, "doctor", [str(argument) for argument in arguments])


def test_a_whole_checkout_lacks_nothing(place, capsys):
    assert run("--output", "doctor.txt") == 0
    text = capsys.readouterr().out
    assert text.endswith("nothing is missing\n") and (place / "doctor.txt").read_text() == text
    assert "[missing]" not in text and "[ok] Python: 3." in text and "[ok] generated meshes: 16 of 16" in text
    assert "[ok] unknown hashes: none" in text and "[ok] embreex: loads" in text


def test_a_model_that_all_runs_without_is_a_note_until_it_is_damaged(place, capsys):
    config = load_config()
    (settings,) = (m for m in config.models.values() if not m.needed)
    absent = settings.model_copy(update={"folder": "data/mini/none"})
    found = doctor.model("if_ii", absent, place, "fetch")
    assert found.status == "note" and "data/mini/none is not there" in found.detail
    assert (
        doctor.model("if_ii", absent.model_copy(update={"needed": True}), place, "fetch").status == "missing"
    )
    (place / "data/mini/none").mkdir()
    assert doctor.model("if_ii", absent, place, "fetch").status == "missing"


def test_a_damaged_checkout_ends_with_one(place, capsys):
    (place / "data" / "mini" / "meshes" / "mug.glb").unlink()
    weights = place / "data" / "mini" / "controlnet_depth" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(SystemExit) as exit_:
        run()
    assert exit_.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 things are missing"
    found = [line for line in lines if line.startswith("[missing]")]
    assert (
        "model controlnet_depth" in found[0]
        and "altered or truncated" in found[0]
        and "restore data/mini/controlnet_depth" in found[0]
    )
    assert "15 of 16 checked in data/mini/meshes; wrong or absent: mug.glb -> restore" in found[1]


def test_without_generated_meshes(place, capsys):
    shutil.rmtree(place / "data" / "mini" / "meshes")
    with pytest.raises(SystemExit):
        run()
    text = capsys.readouterr().out
    assert "there is no data/mini/meshes/SHA256SUMS -> restore data/mini/meshes" in text
    assert text.endswith("1 thing is missing\n")


def test_a_mesh_with_its_record_that_the_sheet_does_not_know(place, capsys):
    folder = place / "data" / "mini" / "meshes"
    (folder / "mug.glb").write_bytes(glb())
    write_sums(folder, sorted(path.name for path in folder.glob("*.glb")))
    with pytest.raises(SystemExit):
        run()
    assert "15 of 16 checked in data/mini/meshes; wrong or absent: mug.glb" in capsys.readouterr().out


def test_outside_a_checkout_the_machine_is_examined_all_the_same(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        run()
    assert exit_.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[ok] Python: ") and any(line.startswith("[ok] torch: ") for line in lines)
    (sheet,) = (line for line in lines if "asset sheet" in line)
    assert sheet.startswith("[missing] asset sheet: data/assets.tsv cannot be read (No such file")
    assert sheet.endswith(" -> run it in the root of the checkout")
    assert any(line.startswith("[missing] model vae: ") for line in lines), "the rest goes on"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "mine.yaml cannot be read (No such file or directory)"),
        ("a: [", "mine.yaml is no valid YAML"),
        ("cache: 5", "configuration: cache: "),
    ],
)
def test_a_configuration_that_cannot_be_read_is_a_finding(place, capsys, text, match):
    if text is not None:
        (place / "mine.yaml").write_text(text)
    with pytest.raises(SystemExit):
        run("--configfile", "mine.yaml")
    *lines, last, verdict = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[ok] Python: ") and any(line.startswith("[ok] torch: ") for line in lines)
    assert last.startswith(f"[missing] configuration: {match}") and last.endswith("-> correct that file")
    assert verdict == "1 thing is missing"


def test_a_sheet_with_a_fault_is_a_finding(place, capsys):
    sheet = place / "data" / "assets.tsv"
    sheet.write_text(sheet.read_text().replace("\tcorpus\t", "\tcorpse\t", 1))
    with pytest.raises(SystemExit):
        run()
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("[missing]"))
    assert "asset sheet: data/assets.tsv, line " in line and line.endswith("-> correct `assets` or the sheet")


def test_the_paper_scale_before_a_fetch(place, capsys):
    with pytest.raises(SystemExit):
        run("--configfile", "config/paper.yaml")
    text = capsys.readouterr().out
    assert (
        "[missing] Objaverse: 0 of 410 meshes are here -> snakemake --cores 1 fetch_all --configfile config/"
        in text
    )
    assert "accept its licence at https://huggingface.co/stabilityai/sd-vae-ft-mse if it asks" in text
    assert (
        "[missing] file inception: " in text
        and "[note] unknown hashes: 454 (models 39, files 5, objects 410)" in text
    )
    for line in text.splitlines()[:-1]:
        assert line.startswith(("[ok]", "[note]", "[missing]")) and (
            "[missing]" not in line or " -> " in line
        )


def test_objects_and_missing_rows_are_counted(place):
    """One row is marked missing by hand, the other object is supplied."""
    path = place / "data" / "assets.tsv"
    first, second, *_ = [row.uid for row in read_sheet(path) if row.uid]
    text = path.read_text()
    lines = [
        line.replace("\tfalse\t", "\ttrue\tgone") if line.startswith(first) else line
        for line in text.split("\n")
    ]
    path.write_text("\n".join(lines))
    own = place / "own"
    own.mkdir()
    (own / f"{second}.glb").write_bytes(glb())
    (place / "mine.yaml").write_text(
        yaml.safe_dump(
            {"assets": {"splits": ["benchmark"], "names": [first, second]}, "objaverse": {"supplied": "own"}}
        )
    )
    found = by_subject(examine(load_config(overlay=place / "mine.yaml"), "mine.yaml"))
    assert found["Objaverse"] == Finding("ok", "Objaverse", "1 of 1 meshes are here")
    assert found["assets"].detail == "the sheet calls 1 of 2 missing" and found["assets"].status == "note"


def test_files_are_compared_with_what_is_known(tmp_path):
    settings = FileSettings(
        urls=["https://example.org/a"], path="a.bin", licence="MIT", gate="https://example.org/g"
    )
    absent = doctor.file("a", settings, tmp_path, "fetch it")
    assert (
        absent.status == "missing"
        and absent.remedy == "accept its licence at https://example.org/g, then fetch it"
    )
    (tmp_path / "a.bin").write_bytes(b"x")
    assert "recorded by the next fetch" in doctor.file("a", settings, tmp_path, "").detail
    record(tmp_path / "a.bin", sha256(tmp_path / "a.bin"))
    assert "is checked" in doctor.file("a", settings, tmp_path, "").detail
    (tmp_path / "a.bin").write_bytes(b"y")
    assert doctor.file("a", settings, tmp_path, "").status == "missing"
    begins = settings.model_copy(update={"local": str(tmp_path / "a.bin"), "sha256_begins": "00000000"})
    assert doctor.file("a", begins, tmp_path / "other", "").status == "missing"


def test_a_fetched_model_is_checked(tmp_path):
    settings = ModelSettings(
        repository="o/n", revision="0" * 40, files={"w.safetensors": None}, licence="gated"
    )
    assert "https://huggingface.co/o/n" in doctor.model("m", settings, tmp_path, "fetch").remedy
    gated = settings.model_copy(update={"gate": "https://example.org/gate"})
    assert "accept its licence at https://example.org/gate" in doctor.model("m", gated, tmp_path, "").remedy
    folder = tmp_path / "models" / "o--n" / ("0" * 40)
    folder.mkdir(parents=True)
    (folder / "w.safetensors").write_bytes(b"x")
    write_sums(folder, ["w.safetensors"])
    assert doctor.model("m", settings, tmp_path, "").status == "ok"
    (folder / "w.safetensors").write_bytes(b"y")
    assert doctor.model("m", settings, tmp_path, "fetch").remedy == "fetch"


def test_libraries_that_do_not_load_are_named(monkeypatch):
    def load(name):
        if name in ("embreex", "OpenEXR"):
            raise ImportError(f"no {name} here\nand more")
        if name == "xatlas":
            raise RuntimeError("built for another numpy")

    monkeypatch.setattr(shutil, "which", lambda _: None)
    found = by_subject(doctor.libraries(load))
    assert found["embreex"].line() == (
        "[missing] embreex: does not load (no embreex here) -> install it again: rm -r .venv; make env"
    )
    assert (
        found["OpenEXR"].status == "note"
        and found["ffmpeg"].status == "note"
        and found["torch"].status == "ok"
    )
    assert found["xatlas"].detail == "does not load (built for another numpy)"


def test_the_gpu_is_a_note_unless_it_is_needed(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert doctor.gpu(False).line() == "[note] GPU: no CUDA device; none is needed"
    assert doctor.gpu(True).status == "missing"
    properties = type("Properties", (), {"total_memory": 80e9})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Card")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)

    def without(missing):
        def load(name):
            if name == missing:
                raise ImportError(f"no {name}")

        return load

    assert doctor.gpu(True, without("nvdiffrast")).status == "note"
    assert doctor.gpu(False, without("torch")).status == "missing"
    assert doctor.gpu(True, lambda _: None) == Finding("ok", "GPU", "Card, 80 GB; nvdiffrast loads")


def test_little_memory_little_disk_and_an_old_python(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "memory_bytes", lambda: int(1e9))
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 1))
    found = by_subject(doctor.machine(tmp_path, disk_needed=1e18))
    assert lacking(found.values()) == {"Python", "memory", "disk"}
    assert "use Python 3.11 to 3.13" in found["Python"].remedy and "cache" in found["disk"].remedy


def test_an_unfinished_download_is_noted(tmp_path):
    assert doctor.cache_size(tmp_path / "nowhere").detail.startswith("0 files")
    (tmp_path / ".a.partial").write_bytes(b"x")
    assert (
        doctor.cache_size(tmp_path).status == "note" and "1 unfinished" in doctor.cache_size(tmp_path).detail
    )


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 1000 kB\nMemFree: 1 kB\n"}, 1_024_000),
        ({"proc/meminfo": "MemTotal: 1000 kB\n", "sys/fs/cgroup/memory.max": "max\n"}, 1_024_000),
        ({"proc/meminfo": "MemTotal: 1000 kB\n", "sys/fs/cgroup/memory.max": "5000\n"}, 5000),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "7000\n"}, 7000),
    ],
)
def test_memory_is_what_the_container_leaves(tmp_path, files, memory):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_bytes(tmp_path) == memory


def test_cores_are_what_the_container_leaves(tmp_path):
    assert cores(tmp_path) >= 1
    path = tmp_path / "sys/fs/cgroup/cpu.max"
    path.parent.mkdir(parents=True)
    for text, share in (("50000 100000\n", 0.5), ("max 100000\n", cores()), ("broken", cores())):
        path.write_text(text)
        assert cores(tmp_path) == share
    assert free_disk_bytes(tmp_path / "not" / "yet") > 0
