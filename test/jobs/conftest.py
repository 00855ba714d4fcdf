"""One warm Spark session for all tests, and a pipeline in a folder around the real batch job."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from pipeline import Pipeline  # noqa: E402


def jars() -> list[str]:
    """The Delta jars that set-up downloaded."""
    folder = ROOT / ".tools" / "jars"
    found = sorted(str(path) for path in folder.glob("delta-*.jar"))
    if len(found) != 2:
        pytest.exit(f"no Delta jars in {folder}: run ./tributary setup", returncode=1)
    return found


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The settings of toolchain and local driver: two cores, gs:// on plain folders."""
    scratch = tmp_path_factory.mktemp("spark")
    os.environ.setdefault("SPARK_LOCAL_DIRS", str(scratch))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2]")
        .appName("tests")
        .config("spark.jars", ",".join(jars()))
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config(
            "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
        )
        .config(
            "spark.hadoop.fs.gs.impl", "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"
        )
        .config("spark.hadoop.fs.file.impl", "org.apache.hadoop.fs.RawLocalFileSystem")
        .config(
            "spark.sql.streaming.checkpointFileManagerClass",
            "org.apache.spark.sql.execution.streaming.FileSystemBasedCheckpointFileManager",
        )
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "2g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.sources.parallelPartitionDiscovery.parallelism", "2")
        .config("spark.databricks.delta.snapshotPartitions", "2")
        # A batch generates several hundred classes; 100 would be compiled again every time.
        .config("spark.sql.codegen.cache.maxEntries", "3000")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.warehouse.dir", str(scratch / "warehouse"))
        .config(
            "spark.driver.extraJavaOptions",
            # See local/dataproc/spark.ts: with 48 MB of code everything is soon interpreted.
            "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=512m -Duser.timezone=UTC",
        )
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def pipeline(warm: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A fresh, empty pipeline for the tests of one file."""
    made = Pipeline(warm, tmp_path_factory.mktemp("lake"))
    yield made
    made.close()
