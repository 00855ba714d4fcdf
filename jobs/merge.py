"""Silver: the newest version of every record, and what changed since the last loaded batch."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.contract import Source
from jobs.delta import Lake, Snapshot, days_in, local_frame

# Old and new images of changed rows are told apart by this column.
IMAGE = "_image"
# Which event days hold rows of which `also_by` days; written before the rows, so never too little.
DAYS = "days"


def newest(records: DataFrame, source: Source) -> DataFrame:
    """One row per key: the newest version; ties go to the later observation, the greater hash."""
    columns = source.struct.fieldNames()
    row = F.struct(*columns)
    best = records.groupBy(*(F.col(name).alias(f"_key_{name}") for name in source.key)).agg(
        F.max_by(row, F.struct(*_order(source))).alias("row")
    )
    return best.select(*(F.col(f"row.{name}").alias(name) for name in columns))


def _order(source: Source) -> list[str]:
    # The run comes last only so that a record landed twice keeps one run, whatever the order.
    version = source.contract["version"]
    return list(dict.fromkeys([version, "observed_at", "_hash", "_run"]))


def merge(lake: Lake, source: Source, incoming: DataFrame, days: Iterable[date]) -> None:
    """Upserts one row per key. Repeating it changes nothing.

    days: event days of the incoming rows; only these partitions are looked at.
    """
    if lake.version(source.path) is None:
        writer = incoming.write.format("delta").mode("append")
        if source.dated:
            writer = writer.partitionBy("_day")
        writer.save(lake.uri(source.path))
        return
    view = f"incoming_{source.bare}"
    incoming.createOrReplaceTempView(view)
    same = [f"t.{name} = s.{name}" for name in source.key]
    if source.dated:
        same += ["t._day = s._day", days_in("t._day", days)]
    newer = " > ".join(
        f"struct({', '.join(f'{side}.{name}' for name in _order(source))})" for side in "st"
    )
    lake.spark.sql(
        f"MERGE INTO delta.`{lake.uri(source.path)}` t USING {view} s ON {' AND '.join(same)}"
        f" WHEN MATCHED AND {newer} THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )


def changed(lake: Lake, source: Source, base: int | None, now: Snapshot | None) -> DataFrame | None:
    """Old and new images of every row whose content differs from the base version.

    Without a base every row is new. None = nothing was written since.
    A row that was only observed again is not changed; unless silver keeps several versions of one
    thing, another of which had been the last one seen: then it is this one again.
    """
    declared = list(source.columns)
    if now is None or now.version == base:
        return None
    if base is None:
        rows = lake.rows_of(now.of(), now.struct, source.struct)
        return rows.select(*declared, F.lit("new").alias(IMAGE))
    feed = lake.changes(source.path, base, now.version).where("_change_type != 'delete'")
    row = F.struct(*declared)
    at = F.struct("_commit_version", (F.col("_change_type") != "update_preimage").alias("after"))
    keys = (F.col(name).alias(f"_key_{name}") for name in source.key)
    ends = feed.groupBy(*keys).agg(
        F.min_by(F.struct("_change_type", "observed_at", row.alias("row")), at).alias("first"),
        F.max_by(row, at).alias("new"),
        F.max_by("observed_at", at).alias("observed_at"),
    )
    old = F.when(F.col("first._change_type") == "update_preimage", F.col("first.row"))
    ends = ends.withColumn("old", old)
    is_changed = ~F.col("old").eqNullSafe(F.col("new"))
    if source.thing != source.key:
        silver = lake.rows_of(now.of(), now.struct, source.struct)
        of_thing = [F.col(name).alias(f"_thing_{name}") for name in source.thing]
        seen = silver.groupBy(*of_thing).agg(F.collect_list("observed_at").alias("seen"))
        same = [F.col(f"_key_{name}") == F.col(f"_thing_{name}") for name in source.thing]
        ends = ends.join(seen, same, "left")
        is_changed = is_changed | F.exists(
            "seen", lambda at: (at > F.col("first.observed_at")) & (at < F.col("observed_at"))
        )
    images = ends.where(is_changed).select("old", "new")
    both = F.array(
        F.struct(F.lit("old").alias("image"), F.col("old").alias("row")),
        F.struct(F.lit("new").alias("image"), F.col("new").alias("row")),
    )
    return (
        images.select(F.explode(both).alias("e"))
        .where("e.row IS NOT NULL")
        .select("e.row.*", F.col("e.image").alias(IMAGE))
    )


def days_path(domain: str) -> str:
    return f"state/{domain}/{DAYS}"


def keep_days(lake: Lake, domain: str, pairs: Iterable[tuple[str, date, date]]) -> None:
    """Adds pairs of (source, event day, also_by day) that are not known yet."""
    path = days_path(domain)
    wanted = set(pairs)
    if not wanted:
        return
    exists = lake.version(path) is not None
    if exists:
        known = lake.read(path).where(days_in("day", {day for _, day, _ in wanted}))
        wanted -= {(row.source, row.day, row.also_day) for row in known.collect()}
    if not wanted:
        return
    pairs_ = (
        {"source": source, "day": day.isoformat(), "also_day": also.isoformat()}
        for source, day, also in sorted(wanted)
    )
    rows = local_frame(lake.spark, pairs_, "source: string, day: date, also_day: date")
    rows.write.format("delta").mode("append").save(lake.uri(path))


def event_days(
    lake: Lake, domain: str, also_days: Iterable[date]
) -> dict[str, dict[date, set[date]]]:
    """By source and also_by day: the event days that hold its rows."""
    found: dict[str, dict[date, set[date]]] = {}
    path = days_path(domain)
    wanted = set(also_days)
    if not wanted or lake.version(path) is None:
        return found
    rows = lake.read(path).where(days_in("also_day", wanted)).collect()
    for row in rows:
        found.setdefault(row.source, {}).setdefault(row.also_day, set()).add(row.day)
    return found
