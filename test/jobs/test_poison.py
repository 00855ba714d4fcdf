"""Messages that nobody can read: each ends among the rejected, with a reason and what it held."""

from __future__ import annotations

import base64
import json

import pytest
from pyspark.sql import SparkSession

from jobs import conform
from jobs.contract import read_domain

OBSERVED_AT = "2026-11-15T00:00:00.000Z"
NOT_UTF8 = bytes([0xFF, 0xFE, 0x00, 0x7B])

POISON = {
    "empty": "",
    "blank": " \n",
    "cut": '{"event_type": "page_vi',
    "text": "hello",
    "null": "null",
    "number": "7",
    "string": '"text"',
    "array": "[]",
    "two": '{"event_type": "view"}{"event_type": "like"}',
    "two_by_comma": '{"event_type": "view"}, {"event_type": "like"}',
    "trailing": '{"event_type": "view"} x',
}


def line(**payload: str) -> str:
    meta = {"message_id": "1", "published_at": OBSERVED_AT, "attributes": {"only": "this"}}
    return json.dumps({"observed_at": OBSERVED_AT, "meta": meta, **payload})


@pytest.mark.parametrize("name", ["website.site_events", "commerce.behavior_events"])
def test_poison_is_refused_with_its_payload(warm: SparkSession, name: str) -> None:
    domain, bare = name.split(".")
    source = read_domain(domain).sources[name]
    foreign = base64.b64encode(NOT_UTF8).decode()
    large = json.dumps({"note": "x" * 9_900_000})
    lines = [
        *((line(payload=text), kind) for kind, text in POISON.items()),
        (line(payload_base64=foreign), "not_utf8"),
        (line(payload=large), "large"),
    ]
    frame = warm.createDataFrame(lines, "line string, _run string")
    pads = conform.pads(warm, b"key of the tests")
    judged = conform.conformed(conform.records(frame, source), source, pads)
    rows = judged.select("_run", "error", "raw").collect()

    told = {row["_run"]: row["error"]["code"] for row in rows if row["error"] is not None}
    assert len(rows) == len(lines)
    # What is JSON, and no event, lacks what an event must have.
    assert told.pop("large") == "missing_required"
    assert told.pop("not_utf8") == "invalid_encoding"
    assert told == dict.fromkeys(POISON, "invalid_json")
    raw = {row["_run"]: row["raw"] for row in rows}
    assert {kind: raw[kind] for kind in POISON} == POISON
    assert foreign in raw["not_utf8"]
    assert raw["large"] == large
