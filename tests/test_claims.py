"""Verdicts: a mutated result flips its row, a gap is an error, and no published number goes unmentioned."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from castex.claims import Exhibit, decide, parse_ledger, uncovered, undecided, unmeasured
from castex.errors import IncompleteResults, InputError
from castex.tally import COLUMNS

CLAIM = {
    "id": "gap",
    "exhibit": "toy",
    "statement": "decoded beats theta",
    "source": "Fig. 2",
    "value": {"method": "latent", "metric": "psnr_decoded"},
    "minus": {"method": "latent", "metric": "psnr_theta"},
    "at_least": 8,
    "unit": "dB",
    "reported": "toy.decoded",
    "reported_minus": "toy.theta",
}
REPORTED = pd.DataFrame(
    {
        "id": ["toy.decoded", "toy.theta", "table.fid"],
        "method": ["latent", "latent", "M"],
        "metric": ["psnr", "psnr", "fid"],
        "value": [26.38, 8.53, 24.6],
        "unit": ["dB", "dB", ""],
        "source": ["Fig. 2", "Fig. 2", "table"],
    }
)


def exhibit(decoded=(20.0, 21.0), theta=(10.0, 10.0)):
    rows = [
        ("latent", "ours", "astronaut", seed, metric, value)
        for metric, values in (("psnr_decoded", decoded), ("psnr_theta", theta))
        for seed, value in enumerate(values)
    ]
    return Exhibit("toy", pd.DataFrame(rows, columns=COLUMNS), "results/toy.csv")


def verdict(claim=None, measured=None, replicates="reduced"):
    ledger = parse_ledger({"claims": [CLAIM | (claim or {})], "not_run": []})
    return decide(ledger, REPORTED, [measured or exhibit()], replicates=replicates).iloc[0]


def test_pass_with_its_numbers_and_origin():
    row = verdict()
    assert row["verdict"] == "PASS"
    assert row["ours"] == 10 and row["reported"] == pytest.approx(17.85)
    assert row["difference"] == pytest.approx(-7.85)
    assert (row["rule"], row["file"], row["tolerance"]) == ("toy", "results/toy.csv", ">= 8 dB")


def test_claims_of_an_exhibit_that_did_not_run_say_so():
    ledger = parse_ledger({"claims": [CLAIM, CLAIM | {"id": "other", "exhibit": "sheet"}], "not_run": []})
    (row,) = unmeasured(ledger, REPORTED, [exhibit()]).to_dict("records")
    assert (row["claim"], row["verdict"], row["rule"]) == ("other", "NOT RUN", "sheet")
    assert row["reason"] == "the exhibit sheet is not part of `all`" and row["reported"] == pytest.approx(
        17.85
    )
    assert unmeasured(ledger, REPORTED, []).shape[0] == 2


def test_the_worst_run_decides():
    assert verdict(measured=exhibit(decoded=(30.0, 17.9)))["verdict"] == "FAIL"
    assert verdict(measured=exhibit(decoded=(30.0, 17.9)))["ours"] == pytest.approx(7.9)


def test_upper_bound_and_band():
    assert verdict({"at_least": None, "at_most": 10})["verdict"] == "FAIL"
    assert verdict({"at_least": None, "at_most": 11})["ours"] == 11
    assert verdict({"at_least": 9, "at_most": 10.5})["verdict"] == "FAIL"
    assert verdict({"at_least": 9, "at_most": 10.5})["ours"] == 11, "the run that breaks the band"
    assert verdict({"at_least": 9, "at_most": 11})["verdict"] == "PASS"


def test_a_strict_bound_refuses_equality():
    assert verdict({"at_least": None, "more_than": 10})["verdict"] == "FAIL"
    assert verdict({"at_least": None, "more_than": 9.9})["verdict"] == "PASS"
    assert verdict({"at_least": None, "more_than": 9.9})["tolerance"] == "> 9.9 dB"


def test_single_value_without_a_published_number():
    row = verdict({"minus": None, "reported": None, "reported_minus": None, "at_least": 20})
    assert row["verdict"] == "PASS" and row["ours"] == 20 and pd.isna(row["reported"])


def test_a_claim_that_needs_replicates_is_not_run():
    row = verdict({"replicates": "full"})
    assert row["verdict"] == "NOT RUN" and "replicates=full" in row["reason"]
    assert verdict({"replicates": "full"}, replicates="full")["verdict"] == "PASS"


def test_missing_rows_are_an_error():
    with pytest.raises(IncompleteResults, match=r"results/toy\.csv has no psnr_x of latent"):
        verdict({"value": {"method": "latent", "metric": "psnr_x"}})
    with pytest.raises(IncompleteResults, match="different runs"):
        verdict(measured=exhibit(theta=(10.0,)))


def test_a_claim_without_a_bound_or_with_a_typo_is_refused():
    with pytest.raises(InputError, match="could not fail"):
        parse_ledger({"claims": [CLAIM | {"at_least": None}], "not_run": []})
    with pytest.raises(InputError, match="tolerence"):
        parse_ledger({"claims": [CLAIM | {"tolerence": 1}], "not_run": []})
    with pytest.raises(InputError, match="two claims are called 'gap'"):
        parse_ledger({"claims": [CLAIM, CLAIM], "not_run": []})


def test_undecided_numbers_are_listed_with_their_reason():
    entry = {"reported": ["table.*"], "exhibit": "benchmark", "reason": "needs weights"}
    rows = undecided(parse_ledger({"claims": [], "not_run": [entry]}), REPORTED, [exhibit()])
    assert rows[["claim", "verdict", "reason"]].to_numpy().tolist() == [
        ["table.fid", "NOT RUN", "needs weights"]
    ]


def test_an_undecided_number_stands_beside_ours_where_there_is_one():
    value = {"method": "latent", "metric": "psnr_theta"}
    entry = {"reported": ["toy.theta"], "exhibit": "toy", "reason": "another picture", "value": value}
    row = undecided(parse_ledger({"claims": [], "not_run": [entry]}), REPORTED, [exhibit()]).iloc[0]
    assert (row["verdict"], row["ours"], row["file"]) == ("NOT RUN", 10, "results/toy.csv")
    assert row["difference"] == pytest.approx(1.47)


def test_uncovered_numbers_are_found():
    assert uncovered(parse_ledger({"claims": [CLAIM], "not_run": []}), REPORTED) == ["table.fid"]


def test_every_published_number_has_a_claims_row(root):
    ledger = parse_ledger(yaml.safe_load((root / "data" / "claims.yaml").read_text()))
    reported = pd.read_csv(root / "data" / "reported.csv")
    assert uncovered(ledger, reported) == []
    assert len(reported) == 170 and reported["id"].is_unique and reported["source"].notna().all()
    listed = undecided(ledger, reported, [])["claim"]
    mentioned = {c.reported for c in ledger.claims} | {c.reported_minus for c in ledger.claims}
    assert listed.is_unique, "one row per number"
    assert set(listed) | (mentioned - {None}) == set(reported["id"])


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("toy.pixel-explicit.psnr_theta", 148.02),
        ("toy.latent-dip.psnr_decoded", 27.03),
        ("results_table.v2.castex-xl-l.fid", 19.5),
        ("results_table.v1.castex-xl-l.kid", 3.1),
        ("results_table.v2.castex-m.size", 0.4),
        ("user_study.v2.xl-l-vs-syncmvd.preference", 0.545),
        ("user_study.v1.m-l-vs-m.preference", 0.775),
        ("sdi_table1.sdi-10k.minutes", 119),
        ("sdi_table1.sds-10k.image_reward", -1.51),
        ("sdi_fig11.30-steps.minutes", 247),
    ],
)
def test_spot_checks_of_the_transcription(root, number, value):
    reported = pd.read_csv(root / "data" / "reported.csv").set_index("id")
    assert reported.loc[number, "value"] == value
