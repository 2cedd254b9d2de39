"""Budgets: at most, at least, not measured."""

import pandas as pd

from castex.budget import compared, processor


def test_values_are_compared_with_their_budgets(tmp_path):
    (tmp_path / "b.yaml").write_text(
        "slow: {budget: 1.5, unit: s, what: 'a, b'}\n"
        "quick: {budget: 1.5, unit: s, what: c}\n"
        "rate: {budget: 150, least: true, unit: 1/s, what: d}\n"
        "low: {budget: 150, least: true, unit: 1/s, what: e}\n"
        "absent: {budget: 1, unit: s, what: f}\n"
    )
    values = {"slow": 1.6, "quick": 1.5, "rate": 150.0, "low": 149.0, "other": 3.0}
    (tmp_path / "t.csv").write_text(compared(values, tmp_path / "b.yaml"))
    table = pd.read_csv(tmp_path / "t.csv").set_index("item")
    assert table["verdict"].to_dict() == {
        "slow": "FAIL", "quick": "PASS", "rate": "PASS", "low": "FAIL", "absent": "NOT RUN",
    }  # fmt: skip
    assert table.loc["slow", "what"] == "a, b" and pd.isna(table.loc["absent", "value"])


def test_the_processor_has_a_name():
    assert len(processor()) > 2
