"""Refused records: raw to the restricted bucket, masked rows for `ops.rejected`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs.delta import Lake

STAGE = "conform"


def write_rejected(
    lake: Lake,
    frames: Mapping[str, DataFrame],
    ops: Mapping[str, Any],
    rejected_bucket: str,
    domain: str,
    claim: Mapping[str, Any],
    at: datetime,
) -> dict[str, Any]:
    """Writes what was refused; the manifest's `rejected`.

    frames: conformed records by source, only of sources with refused ones.
    ops: rendered contract of `ops.rejected`.
    Raw records take the shape of landed lines, so that they can be landed again as they are.
    """
    if not frames:
        return {"files": [], "rows": 0}
    batch = f"{domain}-{claim['sequence']}-{claim['attempt']}"
    struct = StructType.fromJson(ops["spark"])
    rows: DataFrame | None = None
    for name, frame in frames.items():
        refused = frame.where("error IS NOT NULL")
        meta = F.struct(
            F.col("_run").alias("run"),
            F.lit(batch).alias("batch"),
            F.col("_hash").alias("record_hash"),
            F.col("error.code").alias("error_code"),
            F.col("error.column").alias("error_column"),
        )
        line = F.to_json(F.struct("observed_at", meta.alias("meta"), F.col("raw").alias("payload")))
        refused.select(line.alias("value")).coalesce(1).write.mode("overwrite").option(
            "compression", "gzip"
        ).text(f"gs://{rejected_bucket}/{name.replace('.', '/')}/batch={batch}")
        moment = F.lit(at).cast("timestamp")
        known = {
            "rejected_date": F.to_date(moment),
            "payload": F.col("masked"),
            "error_code": F.col("error.code"),
            "error_message": F.col("error.message"),
            "stage": F.lit(STAGE),
            "run": F.col("_run"),
            "source": F.lit(name),
            "domain": F.lit(domain),
            "sequence": F.lit(claim["sequence"]),
            "error_column": F.col("error.column"),
            "record_hash": F.col("_hash"),
            "observed_at": F.col("observed_at"),
            "rejected_at": moment,
            "updated_at": moment,
        }
        masked = refused.select(
            *(known[f.name].cast(f.dataType).alias(f.name) for f in struct.fields)
        ).dropDuplicates(ops["contract"]["key"])
        rows = masked if rows is None else rows.unionAll(masked)
    assert rows is not None
    folder = f"ops/rejected/{domain}/{batch}"
    rows = rows.coalesce(1).persist()
    rows.write.mode("overwrite").parquet(lake.uri(folder))
    count = rows.count()
    rows.unpersist()
    return {"files": lake.files_below(folder), "rows": count}
