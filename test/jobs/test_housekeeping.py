"""The lake stays small, and what is named stays."""

from __future__ import annotations

import os
import time
from datetime import date, timedelta

from pipeline import Pipeline
from pyspark.sql import functions as F

from jobs.delta import RETENTION_DAYS, SETTINGS, Lake
from jobs.housekeeping import CROWDED_FILES, compact, crowded, vacuum
from jobs.partitions import Partition

PATH = "silver/email/email_events"
QUIET, BUSY = date(2026, 10, 1), date(2026, 10, 2)


def lake_of(pipeline: Pipeline) -> Lake:
    session = pipeline.warm.newSession()
    for name, value in SETTINGS.items():
        session.conf.set(name, value)
    return Lake(session, pipeline.buckets["lake"])


def test_a_crowded_day_becomes_one_file_and_no_row_changes(pipeline: Pipeline) -> None:
    lake = lake_of(pipeline)
    rows = lake.spark.range(0, 500, 1, CROWDED_FILES + 5).withColumn("_day", F.lit(BUSY))
    quiet = lake.spark.range(500, 510, 1, 2).withColumn("_day", F.lit(QUIET))
    for frame in (rows, quiet):
        frame.write.format("delta").partitionBy("_day").mode("append").save(lake.uri(PATH))
    before = lake.snapshots([PATH, "silver/email/none"])
    assert crowded(before) == {PATH: [BUSY]}

    compact(lake, PATH, [BUSY])

    after = lake.snapshots([PATH])[PATH]
    assert {day: len(uris) for day, uris in after.files.items()} == {QUIET: 2, BUSY: 1}
    found = lake.rows_of(after.of(), after.struct, after.struct)
    assert (found.count(), found.agg(F.sum("id")).first()[0]) == (510, sum(range(510)))
    assert lake.changes(PATH, before[PATH].version, after.version).count() == 0


def test_files_that_nothing_names_go_when_they_are_old(pipeline: Pipeline) -> None:
    lake = lake_of(pipeline)
    old = time.time() - timedelta(days=RETENTION_DAYS + 1).total_seconds()
    folder = "gold/email/email_send"
    names = {
        f"{folder}/0000000001-1/_partition=2026-10-01/part-named.parquet": old,
        f"{folder}/0000000001-2/_partition=2026-10-01/part-replaced.parquet": old,
        f"{folder}/0000000002-1/_partition=2026-10-01/part-loaded.parquet": old,
        f"{folder}/0000000009-1/_partition=2026-10-01/part-died.parquet": time.time(),
    }
    for name, changed in names.items():
        path = pipeline.path("lake", name)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"PAR1")
        os.utime(path, (changed, changed))

    named, replaced, loaded, young = names
    # An attempt that dies now is followed by one that begins from what was loaded.
    base, new = (
        {"email.email_send": {QUIET: Partition(1, "hash", "code", False, (file,))}}
        for file in (loaded, named)
    )
    assert vacuum(lake, ["silver/email/none"], "gold/email", [base, new]) == 1

    left = [name for name in names if pipeline.path("lake", name).exists()]
    assert left == [named, loaded, young]
    assert replaced not in left
