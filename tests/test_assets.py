"""The asset sheet, and Objaverse objects brought from a web server of our own that has its paths."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import socket
import struct

import objaverse
import pytest
from http_server import Fault, running

from castex.assets import AssetRow, chosen, find_row, mesh_of_lock, read_sheet
from castex.cli import fetch_asset, fetch_file, fetch_ledger, fetch_objaverse
from castex.cli._entry import entry
from castex.errors import InputError
from castex.fetch.attribution import LICENCES, of_annotation, of_glb
from castex.fetch.files import fetch_file as bring_file
from castex.fetch.files import recorded
from castex.fetch.objects import fetch_bundled
from castex.fetch.web import DownloadError, Unreachable
from castex.files import write_json
from castex.scene import Attribution
from castex.settings.assets import AssetsSettings, DownloadSettings, FileSettings, ObjaverseSettings
from castex.weights import read_sums, write_sums

PATIENCE = DownloadSettings(timeout_s=5, attempts=2, backoff_s=0)
HEADER = "asset source uid category prompt split front sha256 bytes missing reason"
UIDS = [f"{n:032x}" for n in range(1, 6)]
GONE, UNKNOWN = "f" * 32, "e" * 32


def digest(content):
    return hashlib.sha256(content).hexdigest()


# The sheet --------------------------------------------------------------------------------------------------


def test_the_sheet_has_the_benchmark_and_the_generated_meshes(root):
    rows = read_sheet(root / "data" / "assets.tsv")
    objects = [row for row in rows if row.source == "objaverse"]
    assert len(objects) == 410 and len({row.category for row in objects}) == 225
    assert [row.asset for row in objects] == sorted(row.uid for row in objects)
    assert all(row.split == "benchmark" and row.prompt == row.category.replace("_", " ") for row in objects)
    generated = {row.asset: row for row in rows if row.source == "mini"}
    assert len(generated) >= 12
    assert {name for name, row in generated.items() if row.split == "held-out"} == {"mug", "house", "rocket"}
    assert all(row.front == "+z" for row in generated.values())


def test_the_sheet_states_the_generated_meshes(root):
    """The sheet, SHA256SUMS and the files agree."""
    folder = root / "data" / "mini" / "meshes"
    rows = [row for row in read_sheet(root / "data" / "assets.tsv") if row.source == "mini"]
    assert {f"{row.asset}.glb": row.sha256 for row in rows} == read_sums(folder)
    for row in rows:
        content = (folder / f"{row.asset}.glb").read_bytes()
        assert (row.sha256, row.bytes) == (digest(content), len(content))


def test_a_generated_mesh_is_compared_with_the_sheet(root, tmp_path):
    folder = root / "data" / "mini" / "meshes"
    mug = find_row(read_sheet(root / "data" / "assets.tsv"), "mug")
    assert fetch_bundled(mug, folder)["sha256"] == mug.sha256
    with pytest.raises(InputError, match=r"and the asset sheet state different hashes of mug\.glb"):
        fetch_bundled(mug.model_copy(update={"sha256": "0" * 64}), folder)
    with pytest.raises(InputError, match=r"mug\.glb cannot be used: "):
        fetch_bundled(mug.model_copy(update={"bytes": mug.bytes + 1}), folder)
    (tmp_path / "mug.glb").write_bytes(glb())
    write_sums(tmp_path, ["mug.glb"])
    with pytest.raises(InputError, match="different hashes"):
        fetch_bundled(mug, tmp_path)


def test_the_sheet_is_the_published_selection(root, shared):
    """Derived anew from the list (class_uid per line) and from the LVIS annotation, which must agree."""
    lines = (shared / "lists" / "objaverse_subset_410.txt").read_text().split()
    published = {line.rsplit("_", 1)[1]: line.rsplit("_", 1)[0] for line in lines}
    rows = {row.uid: row for row in read_sheet(root / "data" / "assets.tsv") if row.source == "objaverse"}
    assert {uid: row.category for uid, row in rows.items()} == published
    lvis = json.loads((shared / "lists" / "objaverse_lvis_annotations.json").read_text())
    assert all(uid in lvis[row.category] for uid, row in rows.items())


def test_no_hash_was_invented(root, shared):
    """A hash may stand in the sheet only for a file that somebody could hash."""
    known = {path.stem: path for path in (shared / "objaverse_glb").glob("*.glb")}
    for row in read_sheet(root / "data" / "assets.tsv"):
        if row.uid in known:
            assert (row.sha256, row.bytes) == (
                digest(known[row.uid].read_bytes()),
                known[row.uid].stat().st_size,
            )
        elif row.source == "objaverse":
            assert row.sha256 is None and row.bytes is None


def cells(**changes):
    row = dict.fromkeys(HEADER.split(), "")
    row |= {"asset": "vase", "source": "mini", "category": "vase", "prompt": "vase", "split": "corpus"}
    return row | {"missing": "false"} | changes


def sheet(folder, *rows, header=HEADER):
    path = folder / "assets.tsv"
    lines = ["\t".join(header.split()), *("\t".join(row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"asset": "Vase!"}, r"line 3: asset: String should match pattern .*\(got 'Vase!'\)"),
        ({"split": "train"}, r"line 3: split: .*\(got 'train'\)"),
        ({"missing": "perhaps"}, r"line 3: missing: .*must be true or false \(got 'perhaps'\)"),
        ({"missing": ""}, r"line 3: missing: "),
        ({"missing": "true"}, r"line 3: row: .*needs a reason.*\(got 'bowl'\)"),
        ({"reason": "because"}, r"line 3: row: .*only a missing one has a reason"),
        ({"sha256": "abc"}, r"line 3: sha256: .*\(got 'abc'\)"),
        ({"bytes": "-1"}, r"line 3: bytes: .*\(got '-1'\)"),
        ({"source": "objaverse"}, r"line 3: row: .*needs a uid"),
        ({"uid": "a" * 32}, r"line 3: row: .*only such a row has one"),
        ({"front": "north"}, r"line 3: front: .*\(got 'north'\)"),
        ({"prompt": ""}, r"line 3: prompt: "),
        ({"asset": "vase"}, r"line 3: 'vase' stands in line 2 already"),
        ({"prompt": "a\tb"}, r"line 3: 12 cells in place of 11"),
    ],
)
def test_a_bad_row_is_named(tmp_path, change, sentence):
    path = sheet(tmp_path, cells(), cells(**({"asset": "bowl"} | change)))
    with pytest.raises(InputError, match=sentence) as caught:
        read_sheet(path)
    assert "\n" not in str(caught.value)


def test_a_sheet_with_other_columns_or_no_sheet(tmp_path):
    with pytest.raises(InputError, match="must begin with the columns asset, source"):
        read_sheet(sheet(tmp_path, header="asset source"))
    with pytest.raises(InputError, match="cannot be read"):
        read_sheet(tmp_path / "nowhere.tsv")


def test_choosing_by_split_and_by_name(tmp_path):
    gone = cells(asset="bowl", split="held-out", missing="true", reason="lost")
    rows = read_sheet(sheet(tmp_path, cells(), gone, cells(asset="mug", split="benchmark")))
    settings = AssetsSettings(splits=["corpus", "held-out"], prepare={"size": 64, "keep_uv": True})
    assert [row.asset for row in chosen(rows, settings)] == ["vase", "bowl"], "missing rows stay"
    one = settings.model_copy(update={"names": ["bowl"]})
    assert [row.asset for row in chosen(rows, one)] == ["bowl"]
    with pytest.raises(
        InputError, match=r"assets\.names: there is no asset 'mug' in the splits corpus, held-out"
    ):
        chosen(rows, settings.model_copy(update={"names": ["mug"]}))
    with pytest.raises(InputError, match="choose no asset"):
        chosen(rows, settings.model_copy(update={"names": []}))
    with pytest.raises(InputError, match="no asset 'cup' in the sheet"):
        find_row(rows, "cup")


# Attribution ------------------------------------------------------------------------------------------------


def glb(extras=None, padding=0):
    """A small valid GLB whose header says who made it."""
    asset = {"version": "2.0"} | ({} if extras is None else {"extras": extras})
    content = json.dumps({"asset": asset}).encode() + b" " * padding
    content += b" " * (-len(content) % 4)
    head = struct.pack("<4sIIII", b"glTF", 2, 20 + len(content), len(content), 0x4E4F534A)
    return head + content


def test_real_files_say_who_made_them(shared):
    folder = shared / "objaverse_glb"
    lamp = of_glb("b4", folder / "b416732d162e4e4d92ee9a37c65fedbc.glb")
    assert (lamp.title, lamp.author, lamp.licence) == ("Foldable Bed Lamp", "cowc2", "CC-BY-SA-4.0")
    assert lamp.source.startswith("https://sketchfab.com/3d-models/foldable-bed-lamp-b416")
    assert all(of_glb("x", path).author for path in folder.glob("*.glb"))


def test_the_dataset_s_record_is_read(tmp_path):
    record = {"name": "Cup\n of tea", "user": {"displayName": "Ann"}, "license": "by-nc-sa", "viewerUrl": "u"}
    assert of_annotation("x", record) == Attribution("Cup of tea", "Ann", "CC-BY-NC-SA-4.0", "u", "x")
    assert of_annotation("x", {"license": "by-nc-nd"}).licence in LICENCES.values()
    odd = of_annotation("x", {"license": "editorial", "user": None, "name": 3})
    assert odd == Attribution("", "", "editorial", "https://sketchfab.com/3d-models/x", "x")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"glTF",
        glb()[:-1],
        glb() + b"x",
        glb().replace(b"asset", b"asses"),
        b"\0" * 100,
        glb()[:20] + b"{" * 40,
    ],
)
def test_a_broken_glb_is_refused(tmp_path, content):
    (tmp_path / "x.glb").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.glb .*; bring it again"):
        of_glb("x", tmp_path / "x.glb")


# Objaverse --------------------------------------------------------------------------------------------------


@pytest.fixture
def meshes():
    """Meshes by uid: real Objaverse files where they are at hand, small generated ones elsewhere."""
    from conftest import SHARED

    real = {path.stem: path.read_bytes() for path in sorted((SHARED / "objaverse_glb").glob("*.glb"))}
    made = {uid: glb({"title": f"made {uid[-1]}"}, padding=1000) for uid in UIDS}
    return real if len(real) == len(UIDS) else made


@pytest.fixture
def hub(monkeypatch, meshes):
    """The dataset as its server has it. GONE stands in the index, and its file is not there."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(objaverse, "_VERSIONED_PATH", objaverse._VERSIONED_PATH)
    with running() as server:
        places = {uid: f"glbs/000-{k % 2:03d}/{uid}.glb" for k, uid in enumerate([*meshes, GONE])}
        server.serve("/main/object-paths.json.gz", gzip.compress(json.dumps(places).encode()))
        for shard in ("000-000", "000-001"):
            records = {
                uid: {"uid": uid, "name": f"Title of {uid[:4]}", "license": "by", "user": {"username": "ann"}}
                for uid, place in places.items()
                if shard in place
            }
            server.serve(f"/main/metadata/{shard}.json.gz", gzip.compress(json.dumps(records).encode()))
        for uid, content in meshes.items():
            server.serve(f"/main/{places[uid]}", content)
        yield server


def row(uid, **changes):
    base = cells(asset=uid, source="objaverse", uid=uid, split="benchmark") | changes
    return AssetRow.model_validate(
        {key: value or None for key, value in base.items()} | {"reason": base["reason"]}
    )


def cache(hub, folder, **settings):
    from castex.fetch.objaverse import open_cache

    base = {"base_url": hub if isinstance(hub, str) else f"{hub.url}/main/"}
    return open_cache(ObjaverseSettings(**(base | settings)), folder, PATIENCE)


def brought(uid, store, **changes):
    from castex.fetch.objects import fetch_asset as bring

    return bring(row(uid, **changes), None, store)


@pytest.fixture
def no_sockets():
    """From when it is called, opening a socket is an error."""
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_, **__):
            raise AssertionError("a socket was opened")

        def arm():
            for name in ("socket", "create_connection", "getaddrinfo"):
                patch.setattr(socket, name, refuse)

        yield arm


def test_an_object_comes_with_author_and_licence(hub, tmp_path, meshes, no_sockets):
    uid = min(meshes)
    lock = brought(uid, cache(hub, tmp_path))
    assert lock["path"] == str(next(tmp_path.glob(f"objaverse/glbs/000-00?/{uid}.glb")))
    assert (lock["sha256"], lock["bytes"]) == (digest(meshes[uid]), len(meshes[uid]))
    assert (lock["title"], lock["author"], lock["licence"]) == (f"Title of {uid[:4]}", "ann", "CC-BY-4.0")
    assert lock["url"].startswith(f"{hub.url}/main/glbs/") and not lock["missing"] and lock["uid"] == uid
    write_json(tmp_path / "lock.json", lock)
    path, front, who = mesh_of_lock(tmp_path / "lock.json")
    assert path.read_bytes() == meshes[uid] and front is None
    assert (who.author, who.uid, who.source) == ("ann", uid, f"https://sketchfab.com/3d-models/{uid}")
    asked = len(hub.asked)
    no_sockets()
    assert brought(uid, cache(hub, tmp_path)) == lock and len(hub.asked) == asked


def test_the_package_finds_everything_where_it_looks(hub, tmp_path, meshes, no_sockets, monkeypatch):
    """After our own fetching, `objaverse` itself loads paths, annotations and objects without a network."""
    for uid in meshes:
        brought(uid, cache(hub, tmp_path))
    no_sockets()
    monkeypatch.setattr(objaverse, "_VERSIONED_PATH", str(tmp_path / "objaverse"))
    assert objaverse.load_objects(list(meshes)).keys() == meshes.keys()
    assert objaverse.load_annotations(list(meshes)).keys() == meshes.keys()


def test_faults_on_the_way_are_survived(hub, tmp_path, meshes):
    uid = min(meshes)
    for path, page in hub.pages.items():
        if path.endswith(".gz"):
            page.faults = [Fault(status=429, headers={"Retry-After": "0"})]
        elif uid in path:
            page.faults = [Fault(after=100)]
    assert brought(uid, cache(hub, tmp_path))["sha256"] == digest(meshes[uid])
    assert next(ranges for path, ranges in reversed(hub.asked) if uid in path) == "bytes=100-"


@pytest.mark.parametrize(("uid", "reason"), [(GONE, "HTTP 404"), (UNKNOWN, "does not know the uid")])
def test_an_object_that_is_gone_is_recorded_as_missing(hub, tmp_path, uid, reason):
    lock = brought(uid, cache(hub, tmp_path))
    assert lock["missing"] and reason in lock["reason"] and lock["path"] == "" and lock["sha256"] == ""
    write_json(tmp_path / "lock.json", lock)
    with pytest.raises(InputError, match=f"asset {uid} is missing .*{reason}"):
        mesh_of_lock(tmp_path / "lock.json")


def test_what_the_sheet_calls_missing_is_not_asked_for(hub, tmp_path, meshes):
    from castex.fetch.objects import fetch_asset as bring

    known = row(min(meshes), missing="true", reason="withdrawn by its author")
    lock = bring(known, None, cache(hub, tmp_path))
    assert lock["missing"] and lock["reason"] == "withdrawn by its author" and hub.asked == []


def test_a_hash_in_the_sheet_is_compared(hub, tmp_path, meshes):
    uid = min(meshes)
    with pytest.raises(DownloadError, match="another file than expected"):
        brought(uid, cache(hub, tmp_path), sha256="0" * 64)
    assert not list(tmp_path.rglob(f"{uid}.glb*"))
    assert brought(uid, cache(hub, tmp_path), sha256=digest(meshes[uid]))["bytes"] == len(meshes[uid])


def test_an_unknown_hash_is_recorded_and_compared_ever_after(hub, tmp_path, meshes):
    uid = min(meshes)
    path = tmp_path / brought(uid, cache(hub, tmp_path))["path"]
    assert recorded(tmp_path / "objaverse" / "sums" / f"{uid}.glb") == digest(meshes[uid])
    path.write_bytes(meshes[uid][:-1])
    assert brought(uid, cache(hub, tmp_path))["sha256"] == digest(meshes[uid]), "damage is mended"
    path.unlink()
    page = next(page for name, page in hub.pages.items() if uid in name)
    page.content = glb({"title": "another"})
    with pytest.raises(DownloadError, match=r"announced with|another file than expected"):
        brought(uid, cache(hub, tmp_path))


def test_an_error_page_is_no_mesh(hub, tmp_path, meshes):
    uid = min(meshes)
    next(page for name, page in hub.pages.items() if uid in name).content = b"<html>busy</html>"
    with pytest.raises(DownloadError, match="is not what it should be"):
        brought(uid, cache(hub, tmp_path))
    assert not list(tmp_path.rglob(f"{uid}.glb*"))


def test_a_truncated_index_in_the_cache_is_replaced(hub, tmp_path, meshes):
    """The package writes its index in place, so an interrupted download of its own leaves half of it."""
    folder = tmp_path / "objaverse"
    folder.mkdir()
    whole = hub.pages["/main/object-paths.json.gz"].content
    (folder / "object-paths.json.gz").write_bytes(whole[:-20])
    brought(min(meshes), cache(hub, tmp_path))
    assert (folder / "object-paths.json.gz").read_bytes() == whole


def test_an_index_cannot_point_out_of_the_cache(hub, tmp_path):
    evil = {"a" * 32: "../../../outside.glb"}
    hub.serve("/main/object-paths.json.gz", gzip.compress(json.dumps(evil).encode()))
    with pytest.raises(InputError, match=r"puts a+ at '\.\./"):
        brought("a" * 32, cache(hub, tmp_path))


# Supplied files ---------------------------------------------------------------------------------------------


def offline():
    """An address where nobody listens."""
    with running() as server:
        return f"{server.url}/main"


def states(folder):
    """All that a write would change."""
    found = {path: path.stat() for path in folder.rglob("*")}
    return {path: (state.st_ino, state.st_size, state.st_mtime_ns) for path, state in found.items()}


@pytest.mark.parametrize("flat", [True, False])
def test_supplied_meshes_need_no_network_and_stay_untouched(tmp_path, meshes, flat):
    own = tmp_path / "own"
    for uid, content in meshes.items():
        path = own / f"{uid}.glb" if flat else own / "glbs" / "000-007" / f"{uid}.glb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    before = states(own)
    store = cache(offline(), tmp_path / "cache", supplied=str(own))
    for uid, content in meshes.items():
        lock = brought(uid, store)
        assert str(own) in lock["path"] and lock["sha256"] == digest(content)
        assert lock["title"] == of_glb(uid, next(own.rglob(f"{uid}.glb"))).title != ""
    assert states(own) == before
    uid = min(meshes)
    path = next(own.rglob(f"{uid}.glb"))
    path.write_bytes(glb({"title": "another"}))
    with pytest.raises(InputError, match=r"cannot be used: .* another file than expected"):
        brought(uid, store)
    assert path.is_file()


def test_a_supplied_copy_of_the_dataset_gives_the_index_too(hub, tmp_path, meshes):
    for uid in meshes:
        brought(uid, cache(hub, tmp_path / "first"))
    shutil.rmtree(tmp_path / "first" / "objaverse" / "sums")
    store = cache(offline(), tmp_path / "second", supplied=str(tmp_path / "first" / "objaverse"))
    assert {brought(uid, store)["author"] for uid in meshes} == {"ann"}


def test_offline_names_the_host_the_files_and_the_remedy(tmp_path, meshes):
    from castex.fetch.objaverse import fetch_index

    own = tmp_path / "own"
    own.mkdir()
    (own / f"{min(meshes)}.glb").write_bytes(meshes[min(meshes)])
    store = cache(offline(), tmp_path, supplied=str(own))
    with pytest.raises(Unreachable) as caught:
        fetch_index(sorted(meshes), store)
    sentence = str(caught.value)
    assert sentence.startswith("127.0.0.1:") and "is needed and cannot be reached" in sentence
    second, third, fourth, _ = sorted(meshes)[1:]
    assert "object-paths.json.gz, 4 of 5 meshes" in sentence and "\n" not in sentence
    assert f"({second}.glb, {third}.glb, {fourth}.glb, …)" in sentence and "--objaverse-cache DIR" in sentence


def test_a_supplied_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"objaverse\.supplied: there is no folder"):
        cache("http://127.0.0.1", tmp_path, supplied=str(tmp_path / "nowhere"))


# Other files ------------------------------------------------------------------------------------------------


def hdri(hub, **changes):
    url = hub.serve("/a.hdr", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n\0\0\0\0")
    return FileSettings(**({"urls": [url], "path": "hdri/a.hdr", "licence": "CC0-1.0"} | changes))


def test_a_file_is_brought_once_and_its_hash_kept(hub, tmp_path):
    lock = bring_file("a", hdri(hub), tmp_path, PATIENCE)
    content = hub.pages["/a.hdr"].content
    assert lock == {
        "file": "a",
        "path": str(tmp_path / "hdri" / "a.hdr"),
        "sha256": digest(content),
        "bytes": len(content),
        "urls": [f"{hub.url}/a.hdr"],
        "licence": "CC0-1.0",
    }
    assert bring_file("a", hdri(hub), tmp_path, PATIENCE) == lock and len(hub.asked) == 1
    (tmp_path / "hdri" / "a.hdr").unlink()
    hub.serve("/a.hdr", content[:-1] + b"\1")
    settings = FileSettings(urls=lock["urls"], path="hdri/a.hdr", licence="CC0-1.0")
    with pytest.raises(DownloadError, match=r"another file than expected.*or bring the file by hand to"):
        bring_file("a", settings, tmp_path, PATIENCE)


def test_a_local_copy_of_a_file_wins_and_is_checked(hub, tmp_path):
    own = tmp_path / "mine.hdr"
    own.write_bytes(b"#?RADIANCE\n")
    assert bring_file("a", hdri(hub, local=str(own)), tmp_path / "c", PATIENCE)["path"] == str(own)
    assert hub.asked == [] and own.read_bytes() == b"#?RADIANCE\n"
    with pytest.raises(InputError, match=r"mine\.hdr cannot be used: .*another file"):
        bring_file("a", hdri(hub, local=str(own), sha256="0" * 64), tmp_path / "d", PATIENCE)
    with pytest.raises(InputError, match=r"there is no file at .*/nowhere"):
        bring_file("a", hdri(hub, local=str(tmp_path / "nowhere")), tmp_path, PATIENCE)


def test_a_file_offline_names_the_hosts_and_the_gate(tmp_path):
    urls = [f"{offline()}/a.hdr", f"{offline()}/b.hdr"]
    settings = FileSettings(urls=urls, path="a.hdr", licence="x", gate="https://example.org/accept")
    with pytest.raises(
        Unreachable, match=r"needed is 127.* or 127.*: accept its licence at https://example\.org"
    ):
        bring_file("a", settings, tmp_path, PATIENCE)


# Verbs ------------------------------------------------------------------------------------------------------


def run(module, *arguments):
    return entry(module, module.__name__.rpartition(".")[2], [str(part) for part in arguments])


def outside(table, base_url, **assets):
    """The part of the configuration that the verbs are given."""
    assets = {
        "sheet": str(table),
        "splits": ["benchmark", "corpus"],
        "prepare": {"size": 64, "keep_uv": True},
    } | assets
    return json.dumps(
        {"assets": assets, "objaverse": {"base_url": base_url}, "download": PATIENCE.model_dump()}
    )


def test_the_verbs_from_the_index_to_the_ledger(hub, tmp_path, meshes, capsys):
    uids = [*meshes, GONE]
    table = sheet(tmp_path, *(cells(asset=u, source="objaverse", uid=u, split="benchmark") for u in uids))
    index = tmp_path / "objaverse.json"
    # The last two were added after the index was made: their own jobs look them up.
    config = outside(table, f"{hub.url}/main", names=uids[:-2])
    shared = ["--config", config, "--cache", tmp_path / "cache"]
    assert run(fetch_objaverse, *shared, "--output", index) == 0
    assert len(json.loads(index.read_text())["objects"]) == 4
    for uid in uids:
        output = ["--output", tmp_path / "locks" / f"{uid}.json"]
        assert run(fetch_asset, "--asset", uid, "--index", index, *shared, *output) == 0
    locks = sorted((tmp_path / "locks").iterdir(), reverse=True)
    assert run(fetch_ledger, "--locks", *locks, "--output", tmp_path / "l.tsv") == 0
    err = capsys.readouterr().err
    assert (
        f"asset {GONE} is recorded as missing" in err and f"5 of 6 assets are here\nmissing: {GONE};" in err
    )
    lines = [line.split("\t") for line in (tmp_path / "l.tsv").read_text().splitlines()]
    assert lines[0][:5] == ["asset", "uid", "title", "author", "licence"] and len(lines) == 7
    assert [line[0] for line in lines[1:]] == sorted(uids) and {line[3] for line in lines[1:-1]} == {"ann"}
    assert lines[-1][-2] == "true" and "HTTP 404" in lines[-1][-1]


def test_the_verb_for_one_asset_with_supplied_files(tmp_path, meshes, capsys):
    uid = min(meshes)
    (tmp_path / f"{uid}.glb").write_bytes(meshes[uid])
    table = sheet(tmp_path, cells(asset=uid, source="objaverse", uid=uid, split="benchmark"))
    arguments = ["--asset", uid, "--config", outside(table, offline())]
    arguments += ["--cache", tmp_path / "cache", "--output", tmp_path / "lock.json"]
    assert run(fetch_asset, *arguments) == 2
    assert "castex fetch_asset: 127.0.0.1" in capsys.readouterr().err
    assert run(fetch_asset, *arguments, "--objaverse-cache", tmp_path) == 0
    assert mesh_of_lock(tmp_path / "lock.json")[0].read_bytes() == meshes[uid]


@pytest.mark.parametrize(
    ("text", "sentence"), [("{", "is no JSON"), ("{}", "must have the keys assets, download")]
)
def test_a_wrong_config_is_named(tmp_path, capsys, text, sentence):
    assert run(fetch_asset, "--asset", "x", "--config", text, "--output", tmp_path / "lock.json") == 2
    assert sentence in capsys.readouterr().err


def test_the_verb_for_a_generated_mesh(tmp_path, capsys):
    folder = tmp_path / "meshes"
    folder.mkdir()
    made = {"title": "vase", "author": "castex", "license": "CC0-1.0"}
    (folder / "vase.glb").write_bytes(glb(made))
    write_sums(folder, ["vase.glb"])
    table = sheet(tmp_path, cells(front="+z"), cells(asset="bowl"))
    arguments = ["--config", outside(table, "http://127.0.0.1"), "--meshes", folder]
    arguments += ["--output", tmp_path / "lock.json"]
    assert run(fetch_asset, "--asset", "vase", *arguments) == 0
    path, front, who = mesh_of_lock(tmp_path / "lock.json")
    assert path == folder / "vase.glb" and front == "+z"
    assert (who.title, who.author, who.licence) == ("vase", "castex", "CC0-1.0")
    assert run(fetch_asset, "--asset", "bowl", *arguments) == 2
    (folder / "vase.glb").write_bytes(glb(padding=4))
    assert run(fetch_asset, "--asset", "vase", *arguments) == 2
    err = capsys.readouterr().err
    assert (
        "knows no bowl.glb" in err
        and "vase.glb cannot be used: vase.glb is another file than expected" in err
    )


def test_the_verb_for_a_file(hub, tmp_path):
    write_json(tmp_path / "s.json", hdri(hub).model_dump())
    arguments = ["--settings", tmp_path / "s.json", "--download", PATIENCE.model_dump_json(), "--name", "a"]
    assert run(fetch_file, *arguments, "--cache", tmp_path / "c", "--output", tmp_path / "lock.json") == 0
    assert json.loads((tmp_path / "lock.json").read_text())["sha256"] == digest(hub.pages["/a.hdr"].content)


def test_a_lock_that_is_none(tmp_path):
    for text in ("{}", "[]", "{"):
        (tmp_path / "lock.json").write_text(text)
        with pytest.raises(InputError, match=r"is no lock of an asset|is no JSON"):
            mesh_of_lock(tmp_path / "lock.json")
