"""The lake: Delta tables with their versions and files, and files that are read by name."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

# Removed files and the change feed stay this long: a batch may be repeated seven days later.
RETENTION_DAYS = 30
RETENTION = f"interval {RETENTION_DAYS} days"

SETTINGS = {
    "spark.databricks.delta.properties.defaults.enableChangeDataFeed": "true",
    "spark.databricks.delta.properties.defaults.deletedFileRetentionDuration": RETENTION,
    "spark.databricks.delta.properties.defaults.logRetentionDuration": RETENTION,
    # Deletion vectors made merges slower.
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    # A contract may gain columns.
    "spark.databricks.delta.schema.autoMerge.enabled": "true",
    # The merged rows are cached and computed from files that do not change.
    "spark.databricks.delta.merge.materializeSource": "none",
}


# The day silver's dated sources are partitioned by.
DAY = "_day"


@dataclass(frozen=True)
class Snapshot:
    """One version of a Delta table: what its files hold, and their URIs by `_day`."""

    version: int
    struct: StructType
    """By day; None is the key of a table that has no `_day`."""
    files: Mapping[date | None, tuple[str, ...]]

    def of(self, days: Collection[date] | None = None) -> tuple[str, ...]:
        """URIs of these days' files; of all days when none are named."""
        wanted = self.files if days is None else days
        return tuple(uri for day in sorted(wanted, key=str) for uri in self.files.get(day, ()))


@dataclass(frozen=True)
class Lake:
    """The bucket of silver and gold, as this session reaches it."""

    spark: SparkSession
    bucket: str
    # Files do not change: what has been listed once is read again without asking.
    _frames: dict[tuple[str, ...], DataFrame] = field(default_factory=dict)

    def uri(self, path: str) -> str:
        return f"gs://{self.bucket}/{path}"

    def version(self, path: str) -> int | None:
        """The newest version, None when there is no table."""
        nothing = java(self.spark, "scala.Option").apply(None)
        # Delta's own object: DESCRIBE HISTORY answers the same by a Spark job. Delta is pinned.
        version = self._log(path).update(False, nothing, nothing).version()
        return None if version < 0 else int(version)

    def read(self, path: str, version: int | None = None) -> DataFrame:
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.uri(path))

    def changes(self, path: str, since: int, until: int) -> DataFrame:
        """The change feed of the versions after `since` up to and with `until`."""
        return (
            self.spark.read.format("delta")
            .option("readChangeFeed", "true")
            .option("startingVersion", since + 1)
            .option("endingVersion", until)
            .load(self.uri(path))
        )

    def snapshots(self, paths: Iterable[str]) -> dict[str, Snapshot]:
        """The newest version of each of these tables that is there, by path: one job.

        A batch reads silver many times; asking Delta for the files each time takes a job each.
        """
        nothing = java(self.spark, "scala.Option").apply(None)
        listed: DataFrame | None = None
        heads: dict[str, tuple[int, StructType]] = {}
        for path in paths:
            snapshot = self._log(path).update(False, nothing, nothing)
            version = int(snapshot.version())
            if version < 0:
                continue
            # Copies: numbers and names, so that nothing of the snapshot changes under us.
            heads[path] = (version, StructType.fromJson(json.loads(snapshot.schema().json())))
            files = DataFrame(snapshot.allFiles().toDF(), self.spark).select(
                F.lit(path).alias("table"),
                "path",
                F.col("partitionValues").getItem(DAY).cast("date").alias("day"),
            )
            listed = files if listed is None else listed.unionAll(files)
        found: dict[str, dict[date | None, list[str]]] = {path: {} for path in heads}
        for row in [] if listed is None else listed.collect():
            uri = f"{self.uri(row.table)}/{unquote(row.path)}"
            found[row.table].setdefault(row.day, []).append(uri)
        return {
            path: Snapshot(
                version, struct, {day: tuple(sorted(uris)) for day, uris in found[path].items()}
            )
            for path, (version, struct) in heads.items()
        }

    def rows_of(self, uris: Collection[str], held: StructType, wanted: StructType) -> DataFrame:
        """The rows of these files with exactly the wanted columns; NULL where a file lacks one.

        held: what the files hold.
        """
        if not uris:
            return empty_frame(self.spark, wanted)
        named = tuple(uris)
        if named not in self._frames:
            inside = StructType([column for column in held.fields if column.name != DAY])
            self._frames[named] = self.spark.read.schema(inside).parquet(*named)
        return fitted(self._frames[named], wanted)

    def files_below(self, path: str) -> list[str]:
        """URIs of the Parquet files in a folder of this bucket and in those right below it."""
        folder = java(self.spark, "org.apache.hadoop.fs.Path")(self.uri(path))
        system = folder.getFileSystem(self.spark._jsparkSession.sessionState().newHadoopConf())
        # By pattern: a recursive listing asks for the owner of every file, on a disk by a program.
        pattern = java(self.spark, "org.apache.hadoop.fs.Path")(folder, "{*/,}*.parquet")
        found = []
        for status in system.globStatus(pattern) or ():
            name = str(status.getPath().toString())
            # File systems spell their own part differently; from the folder on they agree.
            found.append(self.uri(name[name.index(f"/{path}/") + 1 :]))
        return sorted(found)

    def _log(self, path: str):  # noqa: ANN202 - a Java object
        log = java(self.spark, "org.apache.spark.sql.delta.DeltaLog")
        return log.forTable(self.spark._jsparkSession, self.uri(path))


def java(spark: SparkSession, name: str) -> Any:
    """A Java class, looked up once: py4j searches every jar for each part of a name it is given."""
    known = vars(spark._jvm)
    if name not in known:
        found = spark._jvm
        for part in name.split("."):
            found = getattr(found, part)
        known[name] = found
    return known[name]


def local_frame(spark: SparkSession, rows: Iterable[dict[str, Any]], schema: str) -> DataFrame:
    """A small frame of values at hand. Not by createDataFrame, which starts Python workers.

    schema: DDL of one row; values as JSON has them, days as ISO text.
    """
    array = F.from_json(F.lit(json.dumps(list(rows))), f"array<struct<{schema}>>")
    return spark.range(0, 1, 1, 1).select(F.explode(array).alias("row")).select("row.*")


def fitted(frame: DataFrame, wanted: StructType) -> DataFrame:
    """Exactly the wanted columns, in their types; NULL where the frame lacks one."""
    return frame.select(
        *(
            (F.col(column.name) if column.name in frame.columns else F.lit(None))
            .cast(column.dataType)
            .alias(column.name)
            for column in wanted.fields
        )
    )


def empty_frame(spark: SparkSession, struct: StructType) -> DataFrame:
    """No rows of these columns; a relation the optimizer sees through."""
    columns = ", ".join(
        f"CAST(NULL AS {field.dataType.simpleString()}) AS `{field.name}`"
        for field in struct.fields
    )
    return spark.sql(f"SELECT {columns} WHERE false")


def days_in(column: str, days: Iterable[date]) -> str:
    """A condition with literal days: only these prune partitions and files."""
    listed = ", ".join(f"DATE'{day.isoformat()}'" for day in sorted(days))
    return f"{column} IN ({listed})" if listed else "false"
