"""Cases of the email tables: landed records in, expected rows out; all of them in one pass.

A case is a folder `test/cases/email/<table>/<behaviour>/`: `<step>.<source>.json` holds records as
the source sends them (event times may be ISO text, which is turned into milliseconds), and
`expected.json` rows of tables after a step: those that `where` selects, compared by the columns
they name. Cases share one lake: each has its own campaigns and addresses.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pipeline import NOW, Pipeline, ms
from pyspark.sql import SparkSession

from jobs import gold, housekeeping, transform
from jobs.contract import read_domain

CASES = Path(__file__).resolve().parent.parent / "cases" / "email"
FOLDERS = sorted(path.parent for path in CASES.glob("*/*/expected.json"))
STEPS = (1, 2)
RECORDS = {name: s.contract["records"] for name, s in read_domain("email").sources.items()}
TABLES = [table.bare for table in read_domain("email").tables.values()]


def landed(step: int) -> dict[str, list[Any]]:
    """Records of all cases by source."""
    found: dict[str, list[Any]] = {}
    for folder in FOLDERS:
        for path in sorted(folder.glob(f"{step}.*.json")):
            records = [as_sent(record) for record in json.loads(path.read_text())]
            found.setdefault(path.name.split(".")[1], []).extend(records)
    return found


def as_sent(value: Any) -> Any:
    if isinstance(value, list):
        return [as_sent(inner) for inner in value]
    if isinstance(value, dict):
        return {
            key: ms(inner) if key == "created" and isinstance(inner, str) else as_sent(inner)
            for key, inner in value.items()
        }
    return value


def pages(source: str, records: list[Any], size: int = 40) -> list[Any]:
    array = RECORDS[f"email.{source}"]
    if array is None:
        return records
    return [{array: records[at : at + size]} for at in range(0, len(records), size)]


def observed(step: int) -> Any:
    return NOW + timedelta(hours=step)


def land(pipeline: Pipeline, step: int, order: int = 1) -> None:
    for source, records in sorted(landed(step).items(), reverse=order < 0):
        pipeline.land(source, pages(source, records[::order]), observed(step))


class Ran:
    """The pipeline after all steps, with what each step's tables and manifest said."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.manifests: dict[int, Any] = {}
        self.found: dict[tuple[Path, int], list[dict[str, Any]]] = {}
        for step in STEPS:
            land(pipeline, step)
            self.manifests[step] = pipeline.batch()
            for folder in FOLDERS:
                for at, expected in enumerate(json.loads((folder / "expected.json").read_text())):
                    if expected["after"] == step:
                        rows = pipeline.rows(expected["table"], expected["where"])
                        self.found[folder, at] = rows

    def outputs(self, step: int) -> dict[str, Any]:
        return {output["table"]: output for output in self.manifests[step]["tables"]}


@pytest.fixture(scope="module")
def ran(pipeline: Pipeline) -> Ran:
    return Ran(pipeline)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_case(ran: Ran, folder: Path) -> None:
    for at, expected in enumerate(json.loads((folder / "expected.json").read_text())):
        columns = sorted({column for row in expected["rows"] for column in row})
        found = [{column: row[column] for column in columns} for row in ran.found[folder, at]]
        wanted = [{c: row.get(c, "(any)") for c in columns} for row in expected["rows"]]
        # A row that names fewer columns than others says nothing about the rest.
        shown = [shape(row, found, wanted) for row in found]
        assert sorted(shown, key=str) == sorted(wanted, key=str), expected["table"]


def shape(row: dict[str, Any], found: list[Any], wanted: list[dict[str, Any]]) -> dict[str, Any]:
    """The row as the wanted row it fits shows it; itself when it fits none."""
    for want in wanted:
        masked = {c: "(any)" if want[c] == "(any)" else value for c, value in row.items()}
        if masked == want:
            return masked
    return row


def test_a_late_event_updates_only_the_partitions_of_its_send_and_its_day(ran: Ran) -> None:
    outputs = ran.outputs(2)
    # Step 2 brings an OPEN of 2026-10-20 for a send of 2026-09-01.
    sends = outputs["email.email_send"]["partitions"]
    assert "2026-09-01" in sends
    assert "2026-10-20" not in sends
    assert "2026-10-05" not in sends
    facts = outputs["email.fact_email_engagement"]["partitions"]
    assert "2026-10-20" in facts
    assert "2026-09-01" not in facts
    assert "email.dim_country" not in outputs


def test_the_manifest_lists_files_of_exactly_the_changed_partitions(ran: Ran) -> None:
    domain = read_domain("email")
    for name, output in ran.outputs(2).items():
        table = domain.tables[name]
        if not output["files"]:
            assert output["rows"] == 0
            continue
        assert all(uri.startswith("gs://") for uri in output["files"])
        frame = ran.pipeline.loaded(ran.manifests[2], table.bare)
        assert frame is not None
        assert [(f.name, f.dataType) for f in frame.schema.fields] == [
            (f.name, f.dataType) for f in table.struct.fields
        ]
        assert frame.count() == output["rows"]
        if table.partition is not None:
            days = {str(row[0]) for row in frame.select(table.partition).distinct().collect()}
            assert days <= set(output["partitions"])


def test_checks_prove_the_keys_and_count_what_people_should_know(ran: Ran) -> None:
    quality = {(q["subject"], q["check"]): q for q in ran.manifests[1]["quality"]}
    assert all(q["passed"] for q in quality.values())
    assert {subject for subject, check in quality if check == "unique_key"} >= {
        "email.email_events",
        "email.contacts",
        "email.email_send",
        "email.fact_email_engagement",
    }
    assert quality["email.campaign_performance", "orphaned_events"]["failed"] == 2
    assert quality["email.domain_deliverability", "unknown_bounce_category"]["failed"] == 1
    assert quality["email.dim_user", "ambiguous_address"]["failed"] == 1


def test_the_same_content_seen_again_changes_no_table(
    ran: Ran, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = ran.pipeline
    # This batch also tidies the lake, in which everything is young: nothing may go.
    monkeypatch.setattr(housekeeping, "VACUUM_EVERY", 1)
    before = pipeline.silver("email_events").count()
    for source, records in landed(2).items():
        pipeline.land(source, pages(source, records), observed(3))
    manifest = pipeline.batch()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[:1] == "{"]
    vacuumed = {"severity": "INFO", "event": "vacuumed", "domain": "email", "gold_files": 0}
    assert vacuumed in told
    # The counters were read again: that is all that is new.
    assert {output["table"] for output in manifest["tables"]} <= {"email.reconciliation"}
    events = pipeline.silver("email_events")
    assert events.count() == before
    assert events.where("id = 'late-o'").collect()[0]["observed_at"] is not None


class Died(Exception):
    """Stands for a machine that went away."""


def die_at(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, call: int) -> None:
    """The attempt ends just before the n-th call of this method."""
    asked = getattr(owner, name)
    left = [call]

    def dying(*given: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Died
        return asked(*given)

    monkeypatch.setattr(owner, name, dying)


def contents(pipeline: Pipeline) -> dict[str, list[Any]]:
    """All tables and silver, as sorted rows."""
    found = {name: pipeline.rows(name) for name in TABLES}
    for source in RECORDS:
        frame = pipeline.silver(source.split(".")[1]).drop("_run")
        found[source] = sorted(str(row) for row in frame.collect())
    return found


def test_any_order_duplicates_and_crashes_give_the_same_tables(
    ran: Ran, warm: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Pipeline(warm, tmp_path)
    # Newest first, everything twice, and again what the first pipeline saw in its third batch.
    for step in (2, 1):
        land(other, step, order=-1)
    first, rest = other.waiting[:3], other.waiting[3:]
    for source, records in landed(2).items():
        other.land(source, pages(source, records, 7), observed(3))
    repeated = other.waiting[len(first) + len(rest) :]
    other.claim([*first, *repeated])
    # Once between two merges, once with the files of some tables written.
    for owner, name, call in ((transform.Batch, "still_ours", 3), (gold.Star, "_files", 5)):
        with monkeypatch.context() as patched:
            die_at(patched, owner, name, call)
            assert other.run() == 1
        assert other.failure()["code"] == "Died"
        other.again()
    assert other.run() == 0, other.failure()
    other.base = other.manifest()["versions"]
    other.waiting = [*rest, *first]
    other.batch()
    mine, theirs = contents(ran.pipeline), contents(other)
    for name, rows in mine.items():
        assert theirs[name] == rows, name
    other.close()
