"""Every contract's payloads, judged by Spark: those in `pass` conform, those in `fail` are refused.

A file in `fail` is named for what it is refused with: `<code>.json` or `<code>.<column>.json`.
"""

from __future__ import annotations

import json
from decimal import Decimal
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


# As it stands in the JSON, and what becomes of it; None = refused.
AMOUNTS = [
    ('"19.90"', "19.900000000"),
    ("19.9", "19.900000000"),
    ("1e-9", "0.000000001"),
    ('"0.1234567890"', "0.123456789"),
    ('"0.1234567891"', None),
    # The largest and the smallest of a NUMERIC, and one more.
    ('"99999999999999999999999999999.999999999"', "99999999999999999999999999999.999999999"),
    ("-99999999999999999999999999999", "-99999999999999999999999999999.000000000"),
    ('"100000000000000000000000000000"', None),
    # More digits than a double holds: whole where they are quoted, never another amount.
    ('"12345678901234567.89"', "12345678901234567.890000000"),
    ("12345678901234567.89", None),
    ("12345678901234.5", "12345678901234.500000000"),
    ("1.5e7", "15000000.000000000"),
]


@pytest.mark.parametrize("name", ["commerce.behavior_events", "commerce.orders"])
def test_an_amount_is_exactly_what_was_sent_or_refused(warm: SparkSession, name: str) -> None:
    source = read_domain("commerce").sources[name]
    at = '"2023-11-14T10:00:00Z"'
    rest = f'"date": {at}, "updated_at": {at}, "product_id": "p", "event_name": "view"'
    records = [
        f'{{"event_id": "{number}", "order_id": "{number}", "price": {text}, {rest}}}'
        for number, (text, _) in enumerate(AMOUNTS)
    ]
    of_pages = source.contract["records"] is not None
    payloads = [f'{{"orders": [{", ".join(records)}]}}'] if of_pages else records
    lines = [
        (json.dumps({"observed_at": OBSERVED_AT, "meta": {}, "payload": payload}), "r")
        for payload in payloads
    ]
    frame = warm.createDataFrame(lines, "line string, _run string")
    pads = conform.pads(warm, b"key of the tests")
    found = conform.conformed(conform.records(frame, source), source, pads)
    rows = found.select("order_id", "price", "error").collect()
    told = {int(row["order_id"]): row for row in rows}
    for number, (text, amount) in enumerate(AMOUNTS):
        row = told[number]
        fault = row["error"] and (row["error"]["code"], row["error"]["column"])
        assert fault == (None if amount else ("invalid_value", "price")), (text, row)
        assert row["price"] == (amount and Decimal(amount)), text
