"""Every contract's payloads, judged by Spark: those in `pass` conform, those in `fail` are refused.

A file in `fail` is named for what it is refused with: `<code>.json` or `<code>.<column>.json`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs import conform
from jobs.contract import Source, read_domain

ROOT = Path(__file__).resolve().parent.parent.parent
CASES = ROOT / "test" / "cases"
OBSERVED_AT = "2023-11-15T00:00:00.000Z"


def sources() -> list[str]:
    """Full names, from the rendered contracts."""
    found = (
        json.loads(path.read_text()) for path in (ROOT / "schemas" / "rendered").glob("*/*.json")
    )
    return sorted(value["name"] for value in found if value["kind"] == "source")


def judged(spark: SparkSession, source: Source, files: list[Path]) -> DataFrame:
    """All of them in one pass; `_run` tells the file."""
    lines = [
        (
            json.dumps({"observed_at": OBSERVED_AT, "meta": {}, "payload": path.read_text()}),
            path.stem,
        )
        for path in files
    ]
    frame = spark.createDataFrame(lines, "line string, _run string")
    pads = conform.pads(spark, b"key of the tests")
    return conform.conformed(conform.records(frame, source), source, pads)


@pytest.mark.parametrize("name", sources())
def test_payloads_are_judged_as_their_folder_says(warm: SparkSession, name: str) -> None:
    domain, bare = name.split(".")
    source = read_domain(domain).sources[name]
    passing = sorted((CASES / domain / bare / "pass").glob("*.json"))
    failing = sorted((CASES / domain / bare / "fail").glob("*.json"))
    assert passing and failing
    rows = judged(warm, source, [*passing, *failing]).select("_run", "error").collect()

    told = {
        row["_run"]: (row["error"]["code"], row["error"]["column"])
        for row in rows
        if row["error"] is not None
    }
    expected = {}
    for path in failing:
        code, _, column = path.stem.partition(".")
        expected[path.stem] = (code, column or None)
    assert told == expected

    read = {row["_run"] for row in rows if row["error"] is None}
    assert read == {path.stem for path in passing if path.stem != "empty_page"}
