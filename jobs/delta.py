"""What Spark's Delta tables are asked beside reading and writing: versions and files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

# Removed files and the change feed stay this long: a batch may be repeated seven days later.
RETENTION = "interval 30 days"

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


@dataclass(frozen=True)
class Lake:
    """The bucket of silver and gold, as this session reaches it."""

    spark: SparkSession
    bucket: str

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

    def changes(self, path: str, since: int) -> DataFrame:
        """The change feed of all versions after `since`."""
        return (
            self.spark.read.format("delta")
            .option("readChangeFeed", "true")
            .option("startingVersion", since + 1)
            .load(self.uri(path))
        )

    def restore(self, path: str, version: int) -> None:
        """Takes back what attempts that were never loaded have written."""
        self.spark.sql(f"RESTORE TABLE delta.`{self.uri(path)}` TO VERSION AS OF {version}")

    def added_files(self, path: str, version: int) -> list[str]:
        """URIs of the files that one commit added; exactly those of replaced partitions."""
        commit = self.uri(f"{path}/_delta_log/{version:020d}.json")
        files = []
        for line in self._text(commit).splitlines():
            added = json.loads(line).get("add")
            if added is not None:
                files.append(f"{self.uri(path)}/{unquote(added['path'])}")
        return sorted(files)

    def files_below(self, uri: str) -> list[str]:
        """URIs of the Parquet files directly in a folder."""
        path = java(self.spark, "org.apache.hadoop.fs.Path")(uri)
        system = path.getFileSystem(self.spark._jsparkSession.sessionState().newHadoopConf())
        names = [status.getPath().getName() for status in system.listStatus(path)]
        return sorted(f"{uri}/{name}" for name in names if name.endswith(".parquet"))

    def _text(self, uri: str) -> str:
        path = java(self.spark, "org.apache.hadoop.fs.Path")(uri)
        system = path.getFileSystem(self.spark._jsparkSession.sessionState().newHadoopConf())
        stream = system.open(path)
        try:
            return java(self.spark, "org.apache.commons.io.IOUtils").toString(stream, "UTF-8")
        finally:
            stream.close()

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
