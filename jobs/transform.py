"""One batch of a domain: landed files -> silver -> gold -> batch manifest.

Reads the claim and the run manifests it names, conforms and merges their records, computes the
partitions of the tables that are touched, and creates the batch manifest as its last act. Any
part of it may be repeated; an attempt that is no longer the one in flight stops before it commits.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

try:
    import jobs  # noqa: F401 - whether the package is on the path
except ModuleNotFoundError:
    # Started as a file of a checkout; on Dataproc the zip is on the path.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from jobs import conform, housekeeping, merge
from jobs.contract import ContractBroken, Source, read_domain, rendered
from jobs.delta import SETTINGS, Lake, Snapshot, java
from jobs.gold import AT_ONCE, Star, quality
from jobs.objects import Objects, Refused, Unavailable
from jobs.partitions import State, read_state, recompute, state_path, write_state
from jobs.refuse import write_rejected

SESSION = {
    **SETTINGS,
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "false",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.sources.partitionOverwriteMode": "static",
    # Every job describes its plan to whoever listens; the default format costs a tenth of a batch.
    "spark.sql.ui.explainMode": "simple",
    # Inferring constraints over a contract's many computed columns takes minutes and gigabytes.
    "spark.sql.constraintPropagation.enabled": "false",
    # Nothing that looks like a key or a binary literal reaches a plan that is shown or logged.
    "spark.sql.redaction.string.regex": "(?i)0x[0-9a-f]{32,}|X'[0-9a-f]{32,}'",
}


# Below this many landed bytes adaptive execution costs more jobs than it saves.
SMALL_BYTES = 64_000_000
SMALL_PARTITIONS = 4


class Overtaken(Exception):
    """Another attempt of this batch is in flight, or its manifest exists: nothing is to do."""


@dataclass(frozen=True)
class Arguments:
    domain: str
    claim: str
    control_bucket: str
    bronze_bucket: str
    lake_bucket: str
    rejected_bucket: str
    project: str
    hash_key_secret: str
    code_version: str
    storage_endpoint: str | None
    secrets_endpoint: str | None


def arguments(argv: Sequence[str]) -> Arguments:
    """Named arguments only; an unknown one ends the program."""
    parser = argparse.ArgumentParser(prog="transform", allow_abbrev=False)
    for name in Arguments.__dataclass_fields__:
        endpoint = name.endswith("_endpoint")
        parser.add_argument(f"--{name.replace('_', '-')}", required=not endpoint, default=None)
    return Arguments(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str], spark: SparkSession | None = None) -> int:
    """Runs one batch; the exit code: 0 = done (or another attempt's), 1 = failed and said why."""
    given = arguments(argv)
    objects = Objects(given.storage_endpoint, given.secrets_endpoint)
    claim = objects.read_json(given.control_bucket, given.claim)
    if claim is None:
        log("ERROR", "no_claim", claim=given.claim)
        return 1
    batch: Batch | None = None
    try:
        session = spark or (
            SparkSession.builder.appName(f"{given.domain}-{claim['sequence']}-{claim['attempt']}")
            .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
            .config(
                "spark.sql.catalog.spark_catalog",
                "org.apache.spark.sql.delta.catalog.DeltaCatalog",
            )
            .getOrCreate()
        )
        for name in ("functions", "PythonUtils", "PythonSQLUtils"):
            java(session, name)
        batch = Batch(given, claim, objects, session)
        batch.run()
        return 0
    except Overtaken as reason:
        log("INFO", "overtaken", domain=given.domain, sequence=claim["sequence"], why=str(reason))
        return 0
    except Exception as fault:  # noqa: BLE001 - whatever it is, a person is told
        merged = batch is not None and batch.merged
        failure = _failure(given.domain, claim, fault, merged)
        log("ERROR", "batch_failed", **failure)
        name = f"failures/{given.domain}/{batch_name(given.domain, claim)}.json"
        try:
            objects.create_json(given.control_bucket, name, failure)
        except Refused as also:
            log("ERROR", "failure_not_written", why=str(also))
        return 1


def batch_name(domain: str, claim: Mapping[str, Any]) -> str:
    return f"{domain}-{claim['sequence']}-{claim['attempt']}"


class Batch:
    """One attempt of one batch."""

    def __init__(
        self, given: Arguments, claim: Mapping[str, Any], objects: Objects, spark: SparkSession
    ) -> None:
        self.given = given
        self.claim = claim
        self.objects = objects
        self.spark = spark
        self.lake = Lake(spark, given.lake_bucket)
        self.domain = read_domain(given.domain)
        self.base: Mapping[str, int] = claim["base"]
        self.seconds: dict[str, float] = {}
        self.started = datetime.now(timezone.utc)
        # From the first change of silver on, leaving runs out of the claim cures nothing.
        self.merged = False
        self.silver: dict[str, Snapshot] = {}

    def run(self) -> None:
        for name, value in SESSION.items():
            self.spark.conf.set(name, value)
        manifest = f"batches/{self.given.domain}/{self.claim['sequence']:010d}.json"
        if self.objects.read_json(self.given.control_bucket, manifest) is not None:
            raise Overtaken("its manifest exists")
        self.still_ours()
        began = time.monotonic()
        with self.timed("read claim"):
            files = self.landed_files()
            requests = self.requests()
        sources, rejected = self.to_silver(files)
        # Before the changes are read: what a late attempt merges from here on is the next batch's.
        with self.timed("files"):
            self.silver = self.uncrowded()
        with self.timed("changes"):
            images = self.images()
            state = read_state(
                self.lake, self.domain.name, self.base.get(state_path(self.domain.name))
            )
        star = Star(
            self.lake,
            self.domain,
            self.silver,
            self.base,
            recompute(self.domain, state, requests),
            f"{self.claim['sequence']:010d}-{self.claim['attempt']}",
            self.started.replace(microsecond=0),
            self.seconds,
        )
        with self.timed("gold"):
            done = star.compute(images)
        with self.timed("checks"):
            checks = [check for written in done.values() for check in written.checks]
            moved = [name for name, image in images.items() if image is not None]
            checks += star.check(done, moved)
            checks += self.silver_checks(star, images)
            checks += [
                quality(
                    name,
                    "rejected",
                    sum(o["records"] for o in of),
                    sum(o["rejected"] for o in of),
                    None,
                )
                for name in self.domain.sources
                if (of := [output for output in sources if output["source"] == name])
            ]
        with self.timed("state"):
            self.still_ours()
            new_state = {name: dict(written.state) for name, written in done.items()}
            write_state(self.lake, self.domain.name, new_state)
        if self.claim["sequence"] % housekeeping.VACUUM_EVERY == 0:
            with self.timed("vacuum"):
                self.vacuum(state, new_state)
        self.seconds["total"] = round(time.monotonic() - began, 3)
        result = {
            "format": 1,
            "domain": self.domain.name,
            "sequence": self.claim["sequence"],
            "attempt": self.claim["attempt"],
            "code_version": self.given.code_version,
            "started_at": iso(self.started),
            "finished_at": iso(datetime.now(timezone.utc)),
            "runs": list(self.claim["runs"]),
            "recompute": list(self.claim["recompute"]),
            "sources": sources,
            "tables": [
                {
                    "table": name,
                    "partitions": None
                    if written.changed == {None}
                    else sorted(day.isoformat() for day in written.changed if day is not None),
                    "files": list(written.files),
                    "rows": written.rows,
                }
                for name, written in done.items()
                if written.changed
            ],
            "quality": checks,
            "rejected": rejected,
            "versions": self.versions(),
            "stale_left": sum(
                known.stale for partitions in new_state.values() for known in partitions.values()
            ),
            "seconds": self.seconds,
        }
        self.still_ours()
        if not self.objects.create_json(self.given.control_bucket, manifest, result):
            raise Overtaken("another attempt wrote the manifest first")
        log(
            "INFO",
            "batch_transformed",
            batch=batch_name(self.domain.name, self.claim),
            seconds=self.seconds,
            tables=len(result["tables"]),
        )

    # -- steps -------------------------------------------------------------------------------------

    def landed_files(self) -> dict[str, dict[str, list[str]]]:
        """By source and run the URIs of exactly the files that the run manifests list."""
        found: dict[str, dict[str, list[str]]] = {}
        landed = 0
        for name in self.claim["runs"]:
            manifest = self.objects.read_json(self.given.control_bucket, name)
            if manifest is None:
                raise Refused(f"run manifest {name} is not there")
            full = f"{manifest['domain']}.{manifest['source']}"
            if full not in self.domain.sources:
                raise ContractBroken(f"run {name} lands {full}, which no contract declares")
            of_run = found.setdefault(full, {}).setdefault(manifest["run"], [])
            for file in manifest["files"]:
                of_run.append(f"gs://{self.given.bronze_bucket}/{file['name']}")
                landed += file["bytes"]
        if landed < SMALL_BYTES:
            self.spark.conf.set("spark.sql.adaptive.enabled", "false")
            set_to = int(self.spark.conf.get("spark.sql.shuffle.partitions"))
            self.spark.conf.set("spark.sql.shuffle.partitions", min(set_to, SMALL_PARTITIONS))
        return found

    def requests(self) -> list[Mapping[str, Any]]:
        found = (
            self.objects.read_json(self.given.control_bucket, name)
            for name in self.claim["recompute"]
        )
        return [request for request in found if request is not None]

    def to_silver(
        self, files: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Conforms, refuses and merges; what the runs held, and what was refused."""
        filled = {
            name: {run: uris for run, uris in runs.items() if uris} for name, runs in files.items()
        }
        frames: dict[str, DataFrame] = {}
        with self.timed("conform"):
            key = self.objects.secret(self.given.project, self.given.hash_key_secret)
            pads = conform.pads(self.spark, key)
            for name, runs in filled.items():
                if any(runs.values()):
                    source = self.domain.sources[name]
                    found = conform.records(conform.landed(self.spark, runs), source)
                    # Cut off: every later step would analyse the whole decoding again.
                    frames[name] = conform.conformed(found, source, pads).localCheckpoint(False)
            counts = self.counts(frames)
        records: Counter[tuple[str, str]] = Counter()
        rejections: Counter[tuple[str, str]] = Counter()
        for counted in counts:
            records[counted.source, counted._run] += counted.n
            rejections[counted.source, counted._run] += counted.n if counted.refused else 0
        outputs = [
            {
                "source": name,
                "run": run,
                "records": records[name, run],
                "rejected": rejections[name, run],
            }
            for name, runs in files.items()
            for run in runs
        ]
        with self.timed("refuse"):
            refused = {c.source for c in counts if c.refused}
            rejected = write_rejected(
                self.lake,
                {name: frames[name] for name in sorted(refused)},
                rendered("ops", "rejected"),
                self.given.rejected_bucket,
                self.domain.name,
                self.claim,
                self.started,
            )
        with self.timed("merge"):
            self.merge_all(frames, [c for c in counts if not c.refused])
        return outputs, rejected

    def counts(self, frames: Mapping[str, DataFrame]) -> list[Any]:
        """One job that conforms everything, caches it and says what lies where."""
        union: DataFrame | None = None
        for name, frame in frames.items():
            source = self.domain.sources[name]
            day = F.col("_day") if source.dated else F.lit(None).cast("date")
            also = F.col(source.also_by) if source.also_by else F.lit(None).cast("date")
            counted = (
                frame.groupBy(
                    F.lit(name).alias("source"),
                    "_run",
                    F.col("error").isNotNull().alias("refused"),
                    day.alias("day"),
                    also.alias("also_day"),
                )
                .count()
                .withColumnRenamed("count", "n")
            )
            union = counted if union is None else union.unionAll(counted)
        return [] if union is None else union.collect()

    def merge_all(self, frames: Mapping[str, DataFrame], counts: Sequence[Any]) -> None:
        pairs = {
            (c.source, c.day, c.also_day)
            for c in counts
            if c.day is not None and c.also_day is not None
        }
        self.still_ours()
        self.merged = True
        merge.keep_days(self.lake, self.domain.name, pairs)
        filled = [name for name in frames if any(c.source == name for c in counts)]

        def merge_one(name: str) -> None:
            source = self.domain.sources[name]
            days = {c.day for c in counts if c.source == name and c.day is not None}
            self.still_ours()
            good = frames[name].where("error IS NULL").select(*source.struct.fieldNames())
            merge.merge(self.lake, source, merge.newest(good, source), days)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            # Asked for one after another, so that the first failure is the batch's.
            for merging in [pool.submit(merge_one, name) for name in filled]:
                merging.result()

    def uncrowded(self) -> dict[str, Snapshot]:
        """Silver as it stands, after days with too many files have been made one file."""
        paths = [source.path for source in self.domain.sources.values()]
        found = self.lake.snapshots(paths)
        days_of = housekeeping.crowded(found)
        for path, days in days_of.items():
            self.still_ours()
            housekeeping.compact(self.lake, path, days)
        return self.lake.snapshots(paths) if days_of else found

    def vacuum(self, *states: State) -> None:
        """A lake that cannot be tidied now is tidied later; the batch's rows do not wait for it."""
        name = self.domain.name
        tables = [*self.silver, state_path(name), merge.days_path(name)]
        try:
            gone = housekeeping.vacuum(self.lake, tables, f"gold/{name}", states)
            log("INFO", "vacuumed", domain=name, gold_files=gone)
        except Exception as fault:  # noqa: BLE001 - told, and tried again
            log("WARNING", "not_vacuumed", domain=name, why=str(fault)[:500])

    def images(self) -> dict[str, DataFrame | None]:
        """Changed rows of every source since the last loaded batch."""
        found: dict[str, DataFrame | None] = {}
        for name, source in self.domain.sources.items():
            base, now = self.base.get(source.path), self.silver.get(source.path)
            image = merge.changed(self.lake, source, base, now)
            # From nothing, silver itself is the change: no use in holding it twice.
            if image is not None and source.path in self.base:
                image = image.localCheckpoint(False)
            found[name] = image
        return found

    def silver_checks(
        self, star: Star, images: Mapping[str, DataFrame | None]
    ) -> list[dict[str, Any]]:
        """One row per key in the partitions that changed: one job."""
        union: DataFrame | None = None
        for name, image in images.items():
            if image is None:
                continue
            source: Source = self.domain.sources[name]
            days: set[date] | None = None
            if source.dated and source.path in self.base:
                day = F.to_date(source.contract["event_time"]).alias("day")
                days = {row.day for row in image.select(day).distinct().collect()}
            frame = star.silver_rows(source, days)
            measured = frame.agg(
                F.count("*").alias("rows"), F.count_distinct(F.struct(*source.key)).alias("keys")
            ).select(F.lit(name).alias("subject"), "rows", "keys")
            union = measured if union is None else union.unionAll(measured)
        if union is None:
            return []
        return [
            quality(row.subject, "unique_key", row.rows, row.rows - row["keys"], 0)
            for row in union.collect()
        ]

    def versions(self) -> dict[str, int]:
        """Delta versions this batch ends with; the next one's base."""
        found = {path: snapshot.version for path, snapshot in self.silver.items()}
        state = self.lake.version(state_path(self.domain.name))
        return found if state is None else {**found, state_path(self.domain.name): state}

    def still_ours(self) -> None:
        """Asks the ledger whether this attempt is the one in flight.

        Raises Overtaken when it is not.
        """
        ledger = self.objects.read_json(
            self.given.control_bucket, f"ledgers/{self.given.domain}.json"
        )
        flight = (ledger or {}).get("in_flight")
        mine = (self.claim["sequence"], self.claim["attempt"])
        if flight is None or (flight["sequence"], flight["attempt"]) != mine:
            raise Overtaken(f"in flight is {flight and (flight['sequence'], flight['attempt'])}")

    @contextmanager
    def timed(self, step: str):  # noqa: ANN201 - a context manager
        began = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - began, 3)


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def log(severity: str, event: str, **fields: Any) -> None:
    """One structured line, as the functions write them."""
    print(json.dumps({"severity": severity, "event": event, **fields}), flush=True)


def _failure(
    domain: str, claim: Mapping[str, Any], fault: Exception, merged: bool
) -> dict[str, Any]:
    """A BatchFailure; addresses in messages are masked, for rows can be quoted in them."""
    text = str(getattr(fault, "java_exception", None) or fault).strip()
    where = traceback.extract_tb(fault.__traceback__)
    places = " < ".join(f"{os.path.basename(f.filename)}:{f.lineno}" for f in reversed(where[-4:]))
    return {
        "domain": domain,
        "sequence": claim["sequence"],
        "attempt": claim["attempt"],
        "code": type(fault).__name__,
        "message": re.sub(r"\S+@\S+", "***", text)[:1500] + f" ({places})",
        "merged": merged,
        "outside": _outside(fault),
        "failed_at": iso(datetime.now(timezone.utc)),
    }


# What Java names when a connection fails, and Google's connector when a service does.
OUTSIDE = re.compile(
    r"\b(?:java\.net\.\w+Exception|javax\.net\.ssl\.\w+|java\.nio\.channels\.\w*Channel\w*Exception"
    r"|GoogleJsonResponseException: (?:429|5\d\d)|StatusRuntimeException: UNAVAILABLE)\b"
)


def _outside(fault: Exception) -> bool:
    """Whether the world failed, rather than the records or the code."""
    # Both kinds of Java's exceptions: as py4j tells them, and as PySpark has taken them apart.
    said = f"{fault} {getattr(fault, '_stackTrace', '')}"
    return isinstance(fault, Unavailable) or OUTSIDE.search(said) is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
