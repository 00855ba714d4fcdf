"""Rows of a PostgreSQL table, as COPY writes them: opened, decoded, refused one by one.

`test/cases/postgres/every_type/` holds a table, its rows as they are copied (which
test/unit/readers/postgres_table.test.ts proves against a real server) and the values expected here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from jobs import conform
from jobs.contract import Source, read_domain
from jobs.transform import SESSION

FOLDER = Path(__file__).resolve().parent.parent / "cases" / "postgres" / "every_type"
OBSERVED_AT = "2026-11-21T00:00:00.000Z"
TYPES = {
    **{"STRING": "string", "INT64": "bigint", "FLOAT64": "double", "NUMERIC": "decimal(38,9)"},
    **{"BOOL": "boolean", "DATE": "date", "TIMESTAMP": "timestamp"},
}


@pytest.fixture(scope="module")
def spark(warm: SparkSession) -> SparkSession:
    """A session with the settings of a batch."""
    session = warm.newSession()
    for name, value in SESSION.items():
        if session.conf.isModifiable(name):
            session.conf.set(name, value)
    return session


def copied(columns: Sequence[str], payload: str) -> dict[str, Any]:
    meta = {"format": "copy", "columns": list(columns), "table": "t"}
    return {"observed_at": OBSERVED_AT, "meta": meta, "payload": payload}


def judged(spark: SparkSession, source: Source, lines: Sequence[Mapping[str, Any]]) -> list[Row]:
    landed = [(json.dumps(line), str(n)) for n, line in enumerate(lines)]
    frame = spark.createDataFrame(landed, "line string, _run string")
    pads = conform.pads(spark, b"key of the tests")
    return conform.conformed(conform.records(frame, source), source, pads).collect()


def every_type(spark: SparkSession) -> Source:
    contract = json.loads((FOLDER / "source.json").read_text())
    fields = []
    for name, column in contract["columns"].items():
        one = TYPES[column["type"]]
        fields.append(f"{name} array<{one}>" if column.get("repeated") else f"{name} {one}")
    system = ["observed_at timestamp", "_run string", "_hash string"]
    struct = spark.createDataFrame([], ", ".join([*fields, *system])).schema
    return Source("test.every_type", contract, struct)


def shown(value: Any) -> Any:
    """A value as JSON can hold it, without losing any of it."""
    if isinstance(value, list):
        return [shown(inner) for inner in value]
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or timezone.utc).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return value


def test_every_type_keeps_its_value_or_is_refused_by_name(spark: SparkSession) -> None:
    source = every_type(spark)
    columns = json.loads((FOLDER / "columns.json").read_text())
    rows = judged(spark, source, [copied(columns, (FOLDER / "page.txt").read_text())])
    expected = json.loads((FOLDER / "expected.json").read_text())
    found = {
        str(row["id"]): {name: shown(row[name]) for name in source.columns if row[name] is not None}
        for row in rows
        if row["error"] is None
    }
    assert found == expected["rows"]
    refused = {
        # What is refused is written as JSON: with a corrected contract it can be landed again.
        json.loads(row["raw"])["id"]: f"{row['error']['code']}: {row['error']['message']}"
        for row in rows
        if row["error"] is not None
    }
    assert refused == expected["refused"]


def test_pages_of_one_source_may_differ_and_rows_are_refused_alone(spark: SparkSession) -> None:
    source = read_domain("commerce").sources["commerce.users"]
    full = ["user_id", "updated_at", "user_name", "date", "email", "country", "not_read"]
    at = "2026-11-20 12:00:00.5+00"
    bad = b"u9\t2026-11-20 12:00:00+00\tM\xfcller\t\\N\t\\N\t\\N\t1\n"
    lines = [
        copied(
            full,
            f"u1\t{at}\tMia\\tBerg \\\\N\t2022-05-30\tMia@example.org\tNO\t1\n"
            f"u2\t{at}\t\\N\t\\N\t\\N\t\t1\n"
            f"u3\tinfinity\tJon\t\\N\tjon@example.org\t\\N\t1\n"
            f"u4\t{at}\ttoo few\n",
        ),
        # Other columns, in another order.
        copied(["country", "user_id"], "SE\tu5\n"),
        copied(["user_id", "_deleted"], "u6\tt\nu\\n7\tt\n"),
        {
            **copied(full, ""),
            "payload": None,
            "payload_base64": base64.b64encode(bad).decode(),
        },
    ]
    rows = judged(spark, source, lines)
    read = {
        row["user_id"]: [row[c] for c in ("user_name", "email", "country", "is_deleted")]
        for row in rows
        if row["error"] is None
    }
    assert read == {
        "u1": ["Mia\tBerg \\N", "Mia@example.org", "NO", None],
        "u2": [None, None, "", None],
        "u5": [None, None, "SE", None],
        "u6": [None, None, None, True],
        "u\n7": [None, None, None, True],
    }
    hashes = {row["user_id"]: row["email_hash"] for row in rows}
    assert len(hashes["u1"]) == 64
    assert hashes["u2"] is None
    refused = {row["error"]["code"]: row for row in rows if row["error"] is not None}
    assert set(refused) == {"invalid_value", "invalid_copy", "invalid_encoding"}
    assert "jon@example.org" not in refused["invalid_value"]["masked"]
    assert json.loads(refused["invalid_value"]["raw"]) == {
        **{"user_id": "u3", "updated_at": "infinity", "user_name": "Jon", "date": None},
        **{"email": "jon@example.org", "country": None, "not_read": "1"},
    }
    assert refused["invalid_copy"]["raw"] == f"u4\t{at}\ttoo few"
    # The refused one again, as it was written, with its fault mended by hand.
    mended = refused["invalid_value"]["raw"].replace("infinity", at)
    [again] = judged(spark, source, [{"observed_at": OBSERVED_AT, "payload": mended}])
    assert again["error"] is None
    assert again["updated_at"].replace(tzinfo=timezone.utc).microsecond == 500_000
