"""Gold: one SQL per table, whole partitions at a time, written only where the content differs.

A partition is the files that the batch's state names for it. Every attempt writes into folders of
its own, so that one that died leaves litter and never a wrong row, and nothing has to be undone.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import merge
from jobs.contract import ContractBroken, Domain, Source, Table, mentions
from jobs.delta import Lake, Snapshot, days_in, empty_frame, fitted
from jobs.partitions import Partition, State, Touched, plan

# Copy of the partition column: Spark keeps partition columns out of the files, BigQuery wants them.
PARTITION = "_partition"
UPDATED_AT = "updated_at"
# Tables worked on at once: planning one keeps a core busy, reading another the next.
AT_ONCE = 3


@dataclass(frozen=True)
class Written:
    """What became of one table in this batch."""

    table: str
    changed: frozenset[date | None]
    rows: int
    files: tuple[str, ...]
    state: Mapping[date | None, Partition]
    checks: tuple[dict[str, Any], ...] = ()


@dataclass
class Star:
    """The domain's tables as one batch works on them."""

    lake: Lake
    domain: Domain
    """Silver as this batch reads it, by path."""
    silver: Mapping[str, Snapshot]
    """Paths whose rows the last loaded batch knew."""
    base: Collection[str]
    state: State
    """Batch and attempt: what this attempt writes lies under its own name."""
    attempt: str
    updated_at: datetime
    seconds: dict[str, float]
    _event_days: dict[str, dict[date, set[date]]] = field(default_factory=dict)
    _asked_days: set[date] = field(default_factory=set)
    # Views are session-wide names: one table at a time is analysed; the work itself overlaps.
    _names: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._now: State = dict(self.state)

    @property
    def spark(self) -> SparkSession:
        return self.lake.spark

    def compute(self, images: Mapping[str, DataFrame | None]) -> dict[str, Written]:
        """Brings every table up to date, inputs before those who read them.

        images: changed rows by source, None where nothing changed.
        """
        self._register_lists()
        touched, moved = self._touched(images)
        self._ask_days(touched)
        done: dict[str, Written] = {}
        waiting = dict(self.domain.tables)
        running: dict[Future[Written], str] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                while waiting or running:
                    for name, table in list(waiting.items()):
                        if all(
                            other in done for other in table.reads if other in self.domain.tables
                        ):
                            del waiting[name]
                            days = touched.get(name, Touched())
                            work = pool.submit(self._table, table, days, moved, dict(done))
                            running[work] = name
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for work in finished:
                        name = running.pop(work)
                        done[name] = work.result()
                        self._now[name] = done[name].state
            except BaseException:
                for work in running:
                    work.cancel()
                raise
        return done

    # -- what is touched ---------------------------------------------------------------------------

    def _touched(
        self, images: Mapping[str, DataFrame | None]
    ) -> tuple[dict[str, Touched], set[str]]:
        """By table the days its sources touch, and which sources changed at all: one job."""
        queries: list[DataFrame] = []
        later: set[tuple[str, str]] = set()
        with self._names:
            for source in self.domain.sources.values():
                if not source.dated:
                    self._view(source.bare, self.silver_rows(source))
            for name, image in images.items():
                if image is not None:
                    queries.append(image.limit(1).select(*_tagged("", name, F.lit(None))))
            for table in self.domain.tables.values():
                unknown = None not in self.state.get(table.name, {})
                for name, touch in table.reads.items():
                    source = self.domain.sources.get(name)
                    if source is None or table.partition is None or touch in ("all", "ignore"):
                        continue
                    image = images.get(name)
                    if unknown and source.path in self.base:
                        # A table new to a domain that runs: all its days, as far as they get.
                        image = self.silver_rows(source).withColumn(merge.IMAGE, F.lit("new"))
                        later.add((table.name, name))
                    elif not source.dated:
                        later.add((table.name, name))
                    if image is None:
                        continue
                    if touch == "same":
                        days = image.select(F.to_date(source.contract["event_time"]).alias("day"))
                    else:
                        self._view("changed", image)
                        self._view("self", self._gold(table))
                        days = self.spark.sql(touch["days"])
                        if len(days.columns) != 1:
                            raise ContractBroken(
                                f"{table.name}: days of {name} yield no one column"
                            )
                    queries.append(days.select(*_tagged(table.name, name, F.col(days.columns[0]))))
        touched: dict[str, Touched] = {}
        moved: set[str] = set()
        if not queries:
            return touched, moved
        union = queries[0]
        for query in queries[1:]:
            union = union.unionAll(query)
        for row in union.distinct().collect():
            moved.add(row.input)
            if row.table == "" or row.day is None:
                continue
            day = frozenset([row.day])
            aside = (row.table, row.input) in later
            touch = Touched(later=day) if aside else Touched(now=day)
            touched[row.table] = touched.get(row.table, Touched()) | touch
        # Every day a new table asks for is no change of the source itself.
        moved &= {name for name, image in images.items() if image is not None}
        return touched, moved

    def _ask_days(self, touched: Mapping[str, Touched]) -> None:
        """Learns the event days behind all touched `also_by` days at once."""
        wanted: set[date] = set()
        for table in self.domain.tables.values():
            if any(_also_by(touch) for touch in table.reads.values()):
                days = touched.get(table.name, Touched())
                known = self.state.get(table.name, {})
                wanted |= days.now | days.later
                wanted |= {
                    day
                    for day, was in known.items()
                    if day is not None and (was.stale or was.code_hash != table.code_hash)
                }
        self._days_behind(wanted)

    def _days_behind(self, also_days: Iterable[date]) -> dict[str, dict[date, set[date]]]:
        with self._names:
            wanted = set(also_days) - self._asked_days
            if wanted:
                found = merge.event_days(self.lake, self.domain.name, wanted)
                for source, days in found.items():
                    self._event_days.setdefault(source, {}).update(days)
                self._asked_days |= wanted
            return self._event_days

    # -- one table ---------------------------------------------------------------------------------

    def _table(
        self, table: Table, touched: Touched, moved: set[str], done: Mapping[str, Written]
    ) -> Written:
        began = time.monotonic()
        known = self.state.get(table.name, {})
        unknown = None not in known
        whole = False
        for name, touch in table.reads.items():
            if name in self.domain.sources:
                whole |= touch == "all" and name in moved
                continue
            days = done[name].changed
            if touch == "all":
                whole |= bool(days)
            elif touch == "same":
                touched |= Touched(now=frozenset(day for day in days if day is not None))
                if unknown:
                    before = self.state.get(name, {})
                    touched |= Touched(later=frozenset(day for day in before if day is not None))
            elif touch != "ignore":
                if days:
                    touched |= Touched(now=self._days_of(table, touch, days))
                if unknown and name in self.state:
                    touched |= Touched(later=self._days_of(table, touch, self.state[name]))
        due = plan(table, known, touched, whole, self.domain.contract["stale_partitions"])
        state = dict(known)
        if table.partition is not None:
            state[None] = Partition(0, None, table.code_hash, False)
        for day in due.stale:
            state[day] = replace(known.get(day, Partition(0, None, None, True)), stale=True)
        if not due.compute:
            return Written(table.name, frozenset(), 0, (), state)
        # Computed once, measured and then written; cut off, so that planning happens once too.
        frame = self._rows(table, due.compute).localCheckpoint(False)
        written = self._write(table, frame, due.compute, known, state)
        self.seconds[f"gold {table.bare}"] = round(time.monotonic() - began, 3)
        return written

    def _days_of(
        self, table: Table, touch: Mapping[str, Any], days: Iterable[date | None]
    ) -> frozenset[date]:
        reach = touch.get("reach")
        with self._names:
            listed = [day for day in days if day is not None]
            self._view("changed", _days_frame(self.spark, listed, "partition"))
            self._view("self", self._gold(table, None if reach is None else _around(listed, reach)))
            frame = self.spark.sql(touch["days"])
        return frozenset(row[0] for row in frame.distinct().collect() if row[0] is not None)

    def _rows(self, table: Table, days: frozenset[date | None]) -> DataFrame:
        """The table's rows of these partitions, exactly as rendered, before `updated_at`."""
        with self._names:
            frame = self._query(table, table.sql, table.views, days)
            wanted = [field for field in table.struct.fields if field.name != UPDATED_AT]
            found = {field.name: field.dataType for field in frame.schema.fields}
            faults = [
                f"{field.name} is {found.get(field.name)}, not {field.dataType.simpleString()}"
                for field in wanted
                if found.get(field.name) != field.dataType
            ]
            faults += [f"{name} is not declared" for name in set(found) - {f.name for f in wanted}]
            if faults:
                raise ContractBroken(f"{table.name}: the SQL does not fit: {'; '.join(faults)}")
            frame = frame.select(*(field.name for field in wanted))
            if table.partition is None:
                return frame
            kept = frame.where(days_in(table.partition, [day for day in days if day is not None]))
            placed = kept.withColumn(PARTITION, F.col(table.partition))
            # One file per partition; more where one is large, which adaptive execution sees.
            if self.spark.conf.get("spark.sql.adaptive.enabled") == "false":
                return placed.repartition(PARTITION)
            self._view("computed", placed)
            return self.spark.sql(f"SELECT /*+ REBALANCE({PARTITION}) */ * FROM computed")

    def _query(
        self, table: Table, sql: str, views: Iterable[str], days: frozenset[date | None]
    ) -> DataFrame:
        dated = [day for day in days if day is not None]
        for name, touch in table.reads.items():
            source = self.domain.sources.get(name)
            if source is not None:
                self._view(source.bare, self._silver_for(source, table, touch, dated))
            else:
                other = self.domain.tables[name]
                some = _days_of_input(table, touch, dated)
                self._view(other.bare, self._gold(other, some))
        self._view("partitions", _days_frame(self.spark, dated, "partition"))
        for view in views:
            self._view(view, self.spark.sql(self.domain.views[view]))
        return self.spark.sql(sql)

    def _silver_for(self, source: Source, table: Table, touch: Any, days: list[date]) -> DataFrame:
        """The source's rows that these partitions are made of, from as few files as hold them."""
        if table.partition is None or not source.dated or touch in ("all", "ignore"):
            return self.silver_rows(source)
        if _also_by(touch):
            behind = self._days_behind(days).get(source.name, {})
            hold = {day for also in days for day in behind.get(also, ())}
            assert source.also_by is not None
            return self.silver_rows(source, hold).where(days_in(source.also_by, days))
        return self.silver_rows(
            source, {day + timedelta(days=step) for day in days for step in (-1, 0, 1)}
        )

    def silver_rows(self, source: Source, days: Collection[date] | None = None) -> DataFrame:
        """The source's rows; those of some event days, where days are named."""
        found = self.silver.get(source.path)
        if found is None:
            return empty_frame(self.spark, source.struct)
        return self.lake.rows_of(found.of(days), found.struct, source.struct)

    def _gold(self, table: Table, days: Collection[date] | None = None) -> DataFrame:
        """The table's rows as far as this batch has computed them."""
        parts = self._now.get(table.name, {})
        current: list[str] = []
        older: list[str] = []
        for day in parts if days is None else days:
            part = parts.get(day)
            if part is not None:
                same = part.code_hash == table.code_hash
                (current if same else older).extend(self.lake.uri(file) for file in part.files)
        frame = self.lake.rows_of(sorted(current), table.struct, table.struct)
        if older:
            # Other code may have had other columns or types: the files themselves say which.
            merged = self.spark.read.option("mergeSchema", "true").parquet(*sorted(older))
            frame = frame.unionAll(fitted(merged, table.struct))
        return frame

    def _write(
        self,
        table: Table,
        frame: DataFrame,
        days: frozenset[date | None],
        known: Mapping[date | None, Partition],
        state: dict[date | None, Partition],
    ) -> Written:
        found = (
            {row.day: row for row in frame.groupBy(_day_of(table)).agg(*_measures(table)).collect()}
            if table.partition is not None
            else {None: frame.agg(*_measures(table)).collect()[0]}
        )
        checks = _checks(table, found.values())
        changed: set[date | None] = set()
        rows = 0
        for day in days:
            row = found.get(day)
            count, content = (
                (row.rows, row.content) if row is not None and row.rows else (0, "empty")
            )
            was = known.get(day)
            files = was.files if was is not None else ()
            state[day] = Partition(count, content, table.code_hash, False, files)
            before = was.content_hash if was is not None else None
            # A day that never had a row has nothing to replace.
            if content != before and not (table.partition and count == 0 and before is None):
                changed.add(day)
                rows += count
        if not changed:
            return Written(table.name, frozenset(), 0, (), state, checks)
        files_of = self._files(table, frame, changed) if rows else {}
        for day in changed:
            state[day] = replace(state[day], files=tuple(files_of.get(day, ())))
        uris = sorted(self.lake.uri(file) for files in files_of.values() for file in files)
        return Written(table.name, frozenset(changed), rows, tuple(uris), state, checks)

    def _files(
        self, table: Table, frame: DataFrame, changed: Iterable[date | None]
    ) -> dict[date | None, list[str]]:
        """Writes these partitions into a folder of this attempt; the files' paths by partition.

        Files of other attempts are never touched: what no state names is litter.
        """
        folder = f"{table.path}/{self.attempt}"
        kept = frame.withColumn(UPDATED_AT, F.lit(self.updated_at).cast("timestamp"))
        columns = table.struct.fieldNames()
        if table.partition is not None:
            days = [day for day in changed if day is not None]
            kept = kept.where(days_in(PARTITION, days))
            columns = [*columns, PARTITION]
        writer = kept.select(*columns).write.mode("overwrite")
        # Each file comes to its place when its task is done: the second version renames once.
        writer = writer.option("mapreduce.fileoutputcommitter.algorithm.version", "2")
        writer = writer.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")
        if table.partition is not None:
            writer = writer.partitionBy(PARTITION)
        writer.parquet(self.lake.uri(folder))
        found: dict[date | None, list[str]] = {}
        for uri in self.lake.files_below(folder):
            path = uri.removeprefix(self.lake.uri(""))
            day = re.search(rf"/{PARTITION}=([^/]+)/", path)
            found.setdefault(date.fromisoformat(day[1]) if day else None, []).append(path)
        return found

    # -- checks ------------------------------------------------------------------------------------

    def check(self, done: Mapping[str, Written], moved: Iterable[str]) -> list[dict[str, Any]]:
        """The domain's own checks whose inputs changed in this batch: one job."""
        touched = {name for name, written in done.items() if written.changed} | set(moved)
        everything = {**self.domain.sources, **self.domain.tables}
        frames = []
        with self._names:
            for name in self.domain.contract.get("checks", {}):
                sql = self.domain.checks[name]
                used = {
                    full
                    for full, thing in everything.items()
                    if mentions(self._text(sql), thing.bare)
                }
                if not used & touched:
                    continue
                for full in used:
                    thing = everything[full]
                    is_source = isinstance(thing, Source)
                    self._view(
                        thing.bare, self.silver_rows(thing) if is_source else self._gold(thing)
                    )
                for view in self._views_in(sql):
                    self._view(view, self.spark.sql(self.domain.views[view]))
                frame = self.spark.sql(sql)
                frames.append(frame.select(F.lit(name).alias("check"), "rows", "failed"))
        if not frames:
            return []
        union = frames[0]
        for frame in frames[1:]:
            union = union.unionAll(frame)
        declared = self.domain.contract["checks"]
        return [
            quality(
                declared[row.check]["subject"],
                row.check,
                row.rows,
                row.failed or 0,
                declared[row.check]["threshold"],
            )
            for row in union.collect()
        ]

    def _views_in(self, sql: str) -> tuple[str, ...]:
        from jobs.contract import views_of

        return views_of(sql, self.domain.views)

    def _text(self, sql: str) -> str:
        return "\n".join([sql, *(self.domain.views[view] for view in self._views_in(sql))])

    # -- views -------------------------------------------------------------------------------------

    def _view(self, name: str, frame: DataFrame) -> None:
        frame.createOrReplaceTempView(name)

    def _register_lists(self) -> None:
        for name, facts in self.domain.lists.items():
            rows = ", ".join(
                "(" + ", ".join(_literal(text) for text in row) + ")" for row in facts["rows"]
            )
            columns = ", ".join(facts["columns"])
            self._view(name, self.spark.sql(f"SELECT * FROM VALUES {rows} AS t({columns})"))


def _days_of_input(table: Table, touch: Any, days: Collection[date]) -> Collection[date] | None:
    """Days of another table that these partitions are made of; None = all there are."""
    if table.partition is None:
        return None
    if touch == "same":
        return days
    near = touch.get("near") if isinstance(touch, dict) else None
    return None if near is None else _around(days, near)


def _around(days: Iterable[date], reach: int) -> set[date]:
    return {day + timedelta(days=step) for day in days for step in range(-reach, reach + 1)}


def _literal(text: str) -> str:
    if text == "":
        return "CAST(NULL AS STRING)"
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _tagged(table: str, source: str, day: Column) -> list[Column]:
    return [
        F.lit(table).alias("table"),
        F.lit(source).alias("input"),
        day.cast("date").alias("day"),
    ]


def _also_by(touch: Any) -> bool:
    return isinstance(touch, dict) and bool(touch.get("also_by"))


def _days_frame(spark: SparkSession, days: Iterable[date], name: str) -> DataFrame:
    listed = ", ".join(f"(DATE'{day.isoformat()}')" for day in sorted(days))
    if not listed:
        return spark.sql(f"SELECT CAST(NULL AS DATE) AS {name} WHERE false")
    return spark.sql(f"SELECT * FROM VALUES {listed} AS t({name})")


def _day_of(table: Table) -> Column:
    return F.col(PARTITION).alias("day")


def _measures(table: Table) -> list[Column]:
    """Rows, different keys, missing required values, and a hash of the content in any order."""
    columns = [f.name for f in table.struct.fields if f.name != UPDATED_AT]
    # xxhash64 skips NULLs, so ('a', NULL) and (NULL, 'a') need to be told apart.
    row_hash = F.xxhash64(*columns, *(F.isnull(name) for name in columns))
    total = F.sum(row_hash.cast("decimal(20,0)")).cast("string")
    other = F.sum(F.hash(*columns).cast("bigint")).cast("string")
    required = [
        F.col(name).isNull()
        for name, column in table.contract["columns"].items()
        if column.get("required")
    ]
    missing = F.lit(False)
    for condition in required:
        missing = missing | condition
    return [
        F.count("*").alias("rows"),
        F.count_distinct(F.struct(*table.contract["key"])).alias("keys"),
        F.count_if(missing).alias("missing"),
        F.concat_ws(":", F.count("*").cast("string"), total, other).alias("content"),
    ]


def _checks(table: Table, found: Iterable[Any]) -> tuple[dict[str, Any], ...]:
    measured = list(found)
    rows = sum(row.rows for row in measured)
    doubled = sum(row.rows - row["keys"] for row in measured)
    missing = sum(row.missing for row in measured)
    return (
        quality(table.name, "unique_key", rows, doubled, 0),
        quality(table.name, "required", rows, missing, 0),
    )


def quality(
    subject: str, check: str, rows: int, failed: int, threshold: float | None
) -> dict[str, Any]:
    """A QualityCheck of the batch manifest."""
    share = failed / rows if rows else 0.0
    return {
        "subject": subject,
        "check": check,
        "rows": rows,
        "failed": failed,
        "threshold": threshold,
        "passed": threshold is None or share <= threshold,
    }
