"""One warm Spark session for all tests, and a pipeline in a folder around the real batch job."""

from __future__ import annotations

import json
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
    """Spark as the local Dataproc starts it: two cores, gs:// on plain folders."""
    scratch = tmp_path_factory.mktemp("spark")
    os.environ.setdefault("SPARK_LOCAL_DIRS", str(scratch))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    here = json.loads((ROOT / "local" / "dataproc" / "settings.json").read_text())
    builder = SparkSession.builder.master("local[2]").appName("tests")
    for name, value in {
        **here["spark"],
        "spark.jars": ",".join(jars()),
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": " ".join(here["java"]),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def pipeline(warm: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A fresh, empty pipeline for the tests of one file."""
    made = Pipeline(warm, tmp_path_factory.mktemp("lake"))
    yield made
    made.close()
