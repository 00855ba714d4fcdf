"""The job as it is deployed: one zip on the path, named arguments, objects over HTTP."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pipeline import Pipeline

from jobs import transform
from jobs.contract import mentions, read_domain
from jobs.objects import Objects

ROOT = Path(__file__).resolve().parent.parent.parent


def test_contracts_and_sql_are_read_from_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "jobs.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for pattern in ("jobs/*.py", "jobs/sql/**/*.sql", "schemas/rendered/**/*.json"):
            for path in sorted(ROOT.glob(pattern)):
                opened.write(path, path.relative_to(ROOT))
    code = "from jobs.contract import read_domain; print(len(read_domain('email').tables))"
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(archive)!r}); {code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == str(len(read_domain("email").tables))


def test_an_unknown_argument_ends_the_program(pipeline: Pipeline) -> None:
    pipeline.claim([])
    with pytest.raises(SystemExit):
        transform.arguments([*pipeline.arguments(), "--verbose", "1"])
    with pytest.raises(SystemExit):
        transform.arguments(pipeline.arguments()[:-6])


def test_an_attempt_that_was_overtaken_writes_nothing(pipeline: Pipeline) -> None:
    pipeline.claim([])
    pipeline.put("ledgers/email.json", {"in_flight": {"sequence": 9, "attempt": 9}})
    assert pipeline.run() == 0
    assert pipeline.failure() is None
    assert not pipeline.path("control", "batches").exists()


def test_a_missing_run_manifest_fails_with_its_name(pipeline: Pipeline) -> None:
    pipeline.claim(["runs/email/email_events/gone.json"])
    assert pipeline.run() == 1
    assert "runs/email/email_events/gone.json" in pipeline.failure()["message"]
    assert pipeline.failure()["code"] == "Refused"
    assert not pipeline.failure()["outside"]


def test_a_service_that_stays_away_is_not_the_records_fault(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    (pipeline.root / "down").write_text("runs%2F")
    pipeline.claim(["runs/email/email_events/any.json"])
    assert pipeline.run() == 1
    (pipeline.root / "down").unlink()
    failure = pipeline.failure()
    assert (failure["code"], failure["outside"]) == ("Unavailable", True)
    assert failure["message"].startswith("GET ")


@pytest.mark.parametrize(
    ("said", "outside"),
    [
        ("Caused by: java.net.SocketTimeoutException: Read timed out", True),
        ("GoogleJsonResponseException: 503 Service Unavailable", True),
        ("GoogleJsonResponseException: 404 Not Found", False),
        ("Caused by: java.util.zip.ZipException: incorrect header check", False),
        ("Caused by: java.io.EOFException: Unexpected end of input stream", False),
    ],
)
def test_what_java_says_tells_whose_fault_it_is(said: str, outside: bool) -> None:
    assert transform._outside(Exception(said)) == outside


def test_an_object_is_created_once(pipeline: Pipeline) -> None:
    objects = Objects(pipeline.endpoint, pipeline.endpoint)
    bucket = pipeline.buckets["control"]
    assert objects.create_json(bucket, "once/a b.json", {"n": 1})
    assert not objects.create_json(bucket, "once/a b.json", {"n": 2})
    assert objects.read_json(bucket, "once/a b.json") == {"n": 1}
    assert objects.read_json(bucket, "once/none.json") is None


def test_every_table_reads_exactly_what_its_contract_says() -> None:
    domain = read_domain("email")
    everything = {**domain.sources, **domain.tables}
    for table in domain.tables.values():
        text = "\n".join([table.sql, *(domain.views[view] for view in table.views)])
        mentioned = {name for name, thing in everything.items() if mentions(text, thing.bare)}
        assert mentioned - {table.name} == set(table.reads), table.name
