"""Keeps the lake small: few files a day in silver, and none that nothing names any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta

from pyspark.sql import functions as F

from jobs.delta import RETENTION_DAYS, Lake, Snapshot, days_in, java
from jobs.partitions import State

# Every batch adds a few files to the days it meets; from here on they are made one.
CROWDED_FILES = 40
# Days of one table made one per batch, the most crowded first: a bounded addition to any batch.
COMPACTED_DAYS = 8
# Nothing is in a hurry to go after thirty days, and listing everything takes its time.
VACUUM_EVERY = 100


def crowded(snapshots: Mapping[str, Snapshot]) -> dict[str, list[date | None]]:
    """By path the days that have more files than are good to read; most crowded first."""
    found = {}
    for path, snapshot in snapshots.items():
        many = {day: len(uris) for day, uris in snapshot.files.items() if len(uris) > CROWDED_FILES}
        if many:
            found[path] = sorted(many, key=lambda day: -many[day])[:COMPACTED_DAYS]
    return found


def compact(lake: Lake, path: str, days: Collection[date | None]) -> None:
    """Makes the files of these days one. No row changes, and the change feed tells of none."""
    where = "" if None in days else f" WHERE {days_in('_day', [d for d in days if d is not None])}"
    lake.spark.sql(f"OPTIMIZE delta.`{lake.uri(path)}`{where}")


def vacuum(lake: Lake, tables: Iterable[str], gold: str, states: Iterable[State]) -> int:
    """Removes what nothing has named for longer than any step may be delayed.

    tables: paths of Delta tables. gold: folder of the domain's tables. states: all that may still
    be read: the last loaded batch's too, from which the next attempt begins should this one die.
    Returns how many files of gold went.
    """
    named = {
        file
        for state in states
        for parts in state.values()
        for part in parts.values()
        for file in part.files
    }
    for path in tables:
        if lake.version(path) is not None:
            lake.spark.sql(f"VACUUM delta.`{lake.uri(path)}`")
    folder = java(lake.spark, "org.apache.hadoop.fs.Path")(lake.uri(gold))
    system = folder.getFileSystem(lake.spark._jsparkSession.sessionState().newHadoopConf())
    if not system.exists(folder):
        return 0
    before = datetime.now() - timedelta(days=RETENTION_DAYS)
    # Only names and times are read of them, and by all executors.
    files = (
        lake.spark.read.format("binaryFile")
        .option("recursiveFileLookup", "true")
        .load(lake.uri(gold))
        .where(F.col("modificationTime") < F.lit(before))
        .select("path")
    )
    gone = 0
    for row in files.toLocalIterator():
        path = row.path[row.path.index(f"/{gold}/") + 1 :]
        if path not in named:
            system.delete(java(lake.spark, "org.apache.hadoop.fs.Path")(lake.uri(path)), False)
            gone += 1
    return gone
