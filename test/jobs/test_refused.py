"""What breaks its contract is kept, named and masked; what is merely large or new is read."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
from typing import Any

import pytest
from pipeline import KEY, Pipeline
from pyspark.sql import SparkSession

from jobs import conform
from jobs.contract import read_domain

AT = 1793000000000  # 2026-10-26
RECIPIENT = "secret.person@refused.example"


def event(identity: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "created": AT, "type": "OPEN", "recipient": RECIPIENT, **more}


@pytest.fixture(scope="module")
def manifest(pipeline: Pipeline) -> dict[str, Any]:
    pipeline.land_lines(
        "email_events",
        [
            line({"events": [event("good"), event("bad-time", created="soon"), 7]}),
            line(
                {"events": [event("no-time", created=None), event("far", created=64060588800000)]}
            ),
            line(
                {
                    "events": [
                        event("attempt", attempt="one"),
                        event(""),
                        event("big", url="x" * 5_000_000),
                    ]
                }
            ),
            line('{"events": [{"id": "cut off'),
            line({"status": "error"}),
            line({"events": [event("page-of-25-MB", url="y" * 25_000_000)]}),
            {
                "observed_at": "2026-11-21T13:00:00.000Z",
                "payload_base64": base64.b64encode(b"\xff\xfe").decode(),
            },
            "not even a line of ours",
        ],
        run="run with spaces, 100%",
    )
    return pipeline.batch()


def line(payload: Any) -> dict[str, Any]:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return {"observed_at": "2026-11-21T13:00:00.000Z", "meta": {}, "payload": text}


def test_every_record_is_either_kept_or_refused(
    pipeline: Pipeline, manifest: dict[str, Any]
) -> None:
    assert manifest["sources"] == [
        {
            "source": "email.email_events",
            "run": "run with spaces, 100%",
            "records": 13,
            "rejected": 10,
        }
    ]
    silver = {row["id"]: len(row["url"] or "") for row in pipeline.silver("email_events").collect()}
    assert silver == {"good": 0, "big": 5_000_000, "page-of-25-MB": 25_000_000}


def test_rows_for_ops_name_the_fault_and_mask_the_person(
    pipeline: Pipeline, manifest: dict[str, Any]
) -> None:
    assert manifest["rejected"]["rows"] == 10
    frame = pipeline.warm.newSession().read.parquet(*manifest["rejected"]["files"])
    rows = [row.asDict() for row in frame.collect()]
    told = sorted((row["error_code"], row["error_column"] or "") for row in rows)
    assert told == [
        ("invalid_encoding", ""),
        ("invalid_json", ""),
        ("invalid_json", ""),
        ("invalid_json", ""),
        ("invalid_value", "attempt"),
        ("invalid_value", "created_at"),
        ("missing_required", "created_at"),
        ("missing_required", "events"),
        ("missing_required", "id"),
        ("out_of_bounds", "created_at"),
    ]
    assert RECIPIENT not in str(rows)
    by_fault = {(row["error_code"], row["error_column"]): row for row in rows}
    assert '"soon"' in by_fault["invalid_value", "created_at"]["error_message"]
    assert "4000-01-01" in by_fault["out_of_bounds", "created_at"]["error_message"]
    shown = json.loads(by_fault["invalid_value", "created_at"]["payload"])
    assert shown["recipient"] == "***"
    assert shown["id"] == "bad-time"


def test_raw_records_lie_in_the_restricted_bucket_ready_to_land_again(
    pipeline: Pipeline, manifest: dict[str, Any]
) -> None:
    folder = pipeline.path("rejected", "email/email_events/batch=email-1-1")
    lines = [
        json.loads(text)
        for path in folder.glob("part-*.gz")
        for text in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
    assert len(lines) == 10
    of_records = [
        json.loads(entry["payload"])["events"][0]
        for entry in lines
        if entry["meta"].get("error_column") == "attempt"
    ]
    assert of_records == [event("attempt", attempt="one")]
    assert any(entry["payload"] == '{"events": [{"id": "cut off' for entry in lines)


def test_the_hash_is_hmac_of_the_clean_address(
    pipeline: Pipeline, manifest: dict[str, Any]
) -> None:
    row = pipeline.silver("email_events").where("id = 'good'").collect()[0]
    expected = hmac.new(KEY, RECIPIENT.encode(), hashlib.sha256).hexdigest()
    assert row["email_hash"] == expected


@pytest.mark.parametrize("key", [b"short", b"k" * 64, b"longer than a block " * 5])
def test_hmac_by_the_standard_whatever_the_length_of_the_key(
    warm: SparkSession, key: bytes
) -> None:
    address = warm.sql(
        "SELECT ' \tAna@Example.COM\n' AS a, '  ' AS nothing, array('B@x ', '') AS many"
    )
    row = (
        address.crossJoin(conform.pads(warm, key))
        .select(
            conform._hmac(conform.F.col("a"), False).alias("a"),
            conform._hmac(conform.F.col("nothing"), False).alias("nothing"),
            conform._hmac(conform.F.col("many"), True).alias("many"),
        )
        .collect()[0]
    )
    assert row["a"] == hmac.new(key, b"ana@example.com", hashlib.sha256).hexdigest()
    assert row["nothing"] is None
    assert row["many"] == [hmac.new(key, b"b@x", hashlib.sha256).hexdigest(), None]


def test_the_key_stands_in_no_plan(warm: SparkSession) -> None:
    source = read_domain("email").sources["email.email_events"]
    lines = warm.sql("SELECT '{}' AS line, 'r' AS _run")
    frame = conform.conformed(conform.records(lines, source), source, conform.pads(warm, KEY))
    shown = frame._jdf.queryExecution().toString() + frame._jdf.queryExecution().logical().toJSON()
    block = KEY.ljust(64, b"\0")
    for secret in (KEY, bytes(b ^ 0x36 for b in block), bytes(b ^ 0x5C for b in block)):
        assert secret.hex() not in shown.lower()
        assert base64.b64encode(secret).decode() not in shown
        assert secret.decode("latin-1") not in shown
