"""Landed lines -> records typed by the contract, each either conformed or refused with a reason.

Frame in, frame out; nothing is dropped: a record without an error goes to silver, one with an
error to the rejected bucket. Unknown fields and unknown enumeration values are no errors.

A payload is JSON, or as `meta.format` says: `copy` = rows in the text format of PostgreSQL's COPY,
`meta.columns` their columns in order.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StringType, StructField, StructType

from jobs.contract import ContractBroken, Source
from jobs.delta import java

CORRUPT = "_corrupt"
# Jackson's own limit of 20 million characters is below what one page can hold.
JSON_OPTIONS = {
    "mode": "PERMISSIVE",
    "columnNameOfCorruptRecord": CORRUPT,
    "maxStringLen": str(2**31 - 1),
}
# What could not be read where it arrived, such as the torn end of a file, is landed to be refused
# here, with the reason that was given there.
REFUSED = StructType([StructField("code", StringType()), StructField("message", StringType())])
META = StructType([StructField("refused", REFUSED)])
COPIED = StructType(
    [StructField("format", StringType()), StructField("columns", ArrayType(StringType()))]
)
# How much of a value a message shows.
SHOWN = 80

ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
NINE_BEHIND = r"^[+-]?\d*\.?\d{0,9}0*$"
# Spark's parser takes a number that is not quoted through a double and writes it so when it is
# large: of more digits than a double holds, it is no longer what was sent.
NOT_AS_SENT = r"^[+-]?(\d\.?){16,}[eE]"
# 9999-12-31T23:59:59.999Z: later instants have no place in any target.
LAST_MS = 253402300799999


def landed(spark: SparkSession, files: Mapping[str, Sequence[str]]) -> DataFrame:
    """Lines of exactly these files: `line`, `_run`.

    files: gs:// URIs by run.
    """
    uris = [uri for run in sorted(files) for uri in sorted(files[run])]
    shown = {_shown_run(spark, uris_[0]): run for run, uris_ in files.items() if uris_}
    # Without the recursive lookup Spark would read columns from the folders' names.
    lines = spark.read.option("recursiveFileLookup", "true").text(uris)
    run = F.regexp_extract(F.input_file_name(), r"/run=([^/]+)/", 1)
    names = F.create_map(*(F.lit(text) for pair in shown.items() for text in pair))
    return lines.select(F.col("value").alias("line"), names[run].alias("_run"))


def _shown_run(spark: SparkSession, uri: str) -> str:
    """The run as it stands in a file name that Spark reports (escaped as a URI)."""
    text = java(spark, "org.apache.hadoop.fs.Path")(uri).toUri().toString()
    found = re.search(r"/run=([^/]+)/", text)
    if found is None:
        raise ContractBroken(f"{uri} does not lie under run=")
    return found.group(1)


def records(lines: DataFrame, source: Source) -> DataFrame:
    """One row per record: `observed_at`, `_run`, `record` (its text), `raw`, `error`, and for a
    source that is copied `columns`: those of the row, NULL where the record is JSON.

    `raw` is what goes to the rejected bucket: a payload of its own, or the whole page when the
    page could not be read.
    """
    line = F.from_json("line", _line(source), JSON_OPTIONS)
    opened = lines.select("_run", "line", line.alias("l")).select(
        "_run",
        F.col("l.observed_at").cast("timestamp").alias("observed_at"),
        F.coalesce("l.payload", F.when(F.col("l.payload_base64").isNull(), F.col("line"))).alias(
            "payload"
        ),
        F.when(F.col(f"l.{CORRUPT}").isNotNull(), _error("invalid_json", None, "landed line"))
        .when(
            F.col("l.meta.refused.code").isNotNull(),
            _error(F.col("l.meta.refused.code"), None, F.col("l.meta.refused.message")),
        )
        .when(F.col("l.payload_base64").isNotNull(), _error("invalid_encoding", None, "not UTF-8"))
        .alias("error"),
        "line",
        *(copied_columns() if copied(source) else ()),
    )
    where = source.contract["records"]
    if where is None:
        found = F.array(F.col("payload"))
        if source.contract["arrives"]["kind"] == "rest_list":
            # Some APIs answer a bare array.
            bare = F.from_json("payload", "array<string>", JSON_OPTIONS)
            found = F.when(F.startswith(F.ltrim("payload"), F.lit("[")), bare).otherwise(found)
        if copied(source):
            # Within a value the end of a line is escaped; the last row ends as the others do.
            rows = F.split(F.expr("left(payload, length(payload) - 1)"), "\n", -1)
            found = F.when(F.col("columns").isNotNull(), rows).otherwise(found)
        unreadable = F.col("error")
        pages = opened
    else:
        path = where.split(".")
        schema: DataType = ArrayType(StringType())
        for name in reversed(path):
            schema = StructType([StructField(name, schema)])
        schema = StructType([*schema.fields, StructField(CORRUPT, StringType())])
        pages = opened.withColumn("page", F.from_json("payload", schema, JSON_OPTIONS))
        found = F.col(f"page.{where}")
        unreadable = (
            F.when(F.col("error").isNotNull(), F.col("error"))
            .when(
                F.col(f"page.{CORRUPT}").isNotNull() | F.col("page").isNull(),
                _error("invalid_json", None, "the page is no JSON object"),
            )
            .when(
                found.isNull(), _error("missing_required", where, f"the page has no array {where}")
            )
        )
    nothing = F.lit(None).cast("string")
    one = F.transform(found, lambda r: F.struct(r.alias("record"), F.lit(False).alias("whole")))
    page = F.array(F.struct(nothing.alias("record"), F.lit(True).alias("whole")))
    unread = pages.withColumn("unreadable", unreadable)
    split = unread.select(
        "observed_at",
        "_run",
        "unreadable",
        # A page travels on only where it is refused whole.
        F.when(F.col("unreadable").isNotNull(), F.coalesce("payload", "line")).alias("page"),
        F.explode(F.when(F.col("unreadable").isNotNull(), page).otherwise(one)).alias("found"),
        *(("columns",) if copied(source) else ()),
    )
    record = F.col("found.record")
    wrapped = record if where is None else F.concat(_opening(where), record, _closing(where))
    return split.select(
        "observed_at",
        "_run",
        record.alias("record"),
        F.coalesce("page", wrapped, F.lit("null")).alias("raw"),
        F.col("unreadable").alias("error"),
        *(("columns",) if copied(source) else ()),
    )


def _line(source: Source) -> StructType:
    meta = StructType([*META.fields, *(COPIED.fields if copied(source) else ())])
    return StructType(
        [
            StructField("observed_at", StringType()),
            StructField("meta", meta),
            StructField("payload", StringType()),
            StructField("payload_base64", StringType()),
            StructField(CORRUPT, StringType()),
        ]
    )


def copied(source: Source) -> bool:
    """Whether payloads may be rows as PostgreSQL's COPY writes them."""
    return source.contract["arrives"]["kind"] == "postgres_table"


def copied_columns() -> list[Column]:
    """Columns of a landed line's rows; NULL when the line holds JSON."""
    return [F.when(F.col("l.meta.format") == "copy", F.col("l.meta.columns")).alias("columns")]


def _fields(row: Column) -> Column:
    """A row's columns as they were before COPY wrote them."""
    fields = F.split(row, "\t", -1)
    return F.when(F.contains(row, F.lit("\\")), F.transform(fields, _unescaped)).otherwise(fields)


def _unescaped(text: Column) -> Column:
    """COPY's text format undone. A zero character cannot stand in PostgreSQL's text."""
    plain = F.replace(text, F.lit("\\\\"), F.lit("\0"))
    for letter, sign in (
        ("b", "\b"),
        ("f", "\f"),
        ("n", "\n"),
        ("r", "\r"),
        ("t", "\t"),
        ("v", "\v"),
    ):
        plain = F.replace(plain, F.lit(f"\\{letter}"), F.lit(sign))
    plain = F.replace(plain, F.lit("\0"), F.lit("\\"))
    return (
        F.when(text == "\\N", F.lit(None).cast("string"))
        .when(F.contains(text, F.lit("\\")), plain)
        .otherwise(text)
    )


def _row(tree: Mapping[str, Any]) -> Column:
    """The same struct that a record of JSON is parsed into."""
    values = []
    for name, below in tree.items():
        at = F.array_position("columns", name).cast("int")
        value = F.when(at > 0, F.element_at("fields", at))
        if below is not None:
            value = F.from_json(value, _schema(below), {"mode": "PERMISSIVE"})
        values.append(value.alias(name))
    return F.struct(*values, F.lit(None).cast("string").alias(CORRUPT))


def _as_json(row: Column) -> Column:
    """A row as the JSON record it could have been: what is refused can be landed again."""
    return F.to_json(F.map_from_arrays("columns", _fields(row)))


def _opening(where: str) -> Column:
    return F.lit("".join(f'{{"{name}":' for name in where.split(".")) + "[")


def _closing(where: str) -> Column:
    return F.lit("]" + "}" * len(where.split(".")))


def conformed(found: DataFrame, source: Source, pads: DataFrame) -> DataFrame:
    """Silver's columns in the contract's order, then `error`, `masked`, `raw` (where refused)."""
    tree = _tree(source)
    schema = StructType([*_schema(tree).fields, StructField(CORRUPT, StringType())])
    read_as = F.from_json("record", schema, JSON_OPTIONS)
    unreadable = F.col("error")
    carried: list[Column] = []
    # What a refused record is written with.
    refusable = ["raw", "columns"] if copied(source) else ["raw"]
    if copied(source):
        is_row = F.col("columns").isNotNull() & F.col("error").isNull()
        found = found.withColumn("fields", F.when(is_row, _fields(F.col("record"))))
        torn = is_row & (F.size("fields") != F.size("columns"))
        said = "the row has not as many fields as there are columns"
        unreadable = F.coalesce("error", F.when(torn, _error("invalid_copy", None, said)))
        read_as = F.when(is_row, _row(tree)).otherwise(read_as)
        carried = [F.when(is_row & ~torn, F.col("columns")).alias("columns")]
    parsed = found.select(
        "observed_at",
        "_run",
        "raw",
        *carried,
        unreadable.alias("unreadable"),
        # A page that could not be read has no record: its own text tells it from others.
        F.sha2(F.coalesce("record", "raw"), 256).alias("_hash"),
        read_as.alias("p"),
        _is_one(found, source).alias("one"),
    )
    broken = F.col("unreadable").isNull() & (
        F.col("p").isNull() | F.col(f"p.{CORRUPT}").isNotNull() | ~F.col("one")
    )
    values = {
        name: (
            _decoded(_at(path), decoding, source.struct[name].dataType, copied(source)),
            _at(path),
            decoding,
            column,
        )
        for name, path, decoding, column in source.read_columns()
    }
    read = parsed.select(
        "observed_at",
        "_run",
        "_hash",
        *refusable,
        "unreadable",
        broken.alias("broken"),
        "p",
        *(value.alias(name) for name, (value, _, _, _) in values.items()),
        *(raw.alias(f"_raw_{name}") for name, (_, raw, _, _) in values.items()),
    )
    faults = [
        fault
        for name, (_, _, decoding, column) in values.items()
        for fault in _faults(name, decoding, column, source)
    ]
    not_object = _error("invalid_json", None, "the record is no JSON object")
    checked = read.select(
        *("observed_at", "_run", "_hash", *refusable, "p", *values),
        F.coalesce(F.col("unreadable"), F.when(F.col("broken"), not_object), *faults).alias(
            "error"
        ),
    )
    computed = checked.select(
        *("observed_at", "_run", "_hash", *refusable, "error", *values),
        F.when(F.col("error").isNotNull(), _masked(tree, source)).alias("masked"),
        *(
            F.expr(column["sql"]).alias(name)
            for name, column in source.columns.items()
            if "sql" in column
        ),
    )
    hashed = computed.crossJoin(F.broadcast(pads)).select(
        "*",
        *(
            _hmac(F.col(column["hash_of"]), column.get("repeated", False)).alias(name)
            for name, column in source.columns.items()
            if "hash_of" in column
        ),
    )
    late = [
        F.when(
            F.col(name).isNull(),
            _error("missing_required", name, f"{name} is required and missing"),
        )
        for name, column in source.columns.items()
        if column.get("required") and name not in values
    ]
    error = F.coalesce("error", *late) if late else F.col("error")
    raw = F.col("raw")
    if copied(source):
        raw = F.when(F.col("columns").isNotNull(), _as_json(raw)).otherwise(raw)
    day = F.to_date(source.contract["event_time"]) if source.dated else F.lit(None)
    known = {**{name: F.col(name) for name in hashed.columns}, "_day": day}
    return hashed.select(
        *(
            known[field.name].cast(field.dataType).alias(field.name)
            for field in source.struct.fields
        ),
        error.alias("error"),
        F.when(error.isNotNull(), F.col("masked")).alias("masked"),
        F.when(error.isNotNull(), raw).alias("raw"),
    )


def _is_one(found: DataFrame, source: Source) -> Column:
    """Whether a record's text is one JSON value and nothing else.

    `from_json` reads the first value and leaves what follows it. Elements of an array are cut out
    by a parser that has read all of it; of a text of its own nobody else has.
    """
    if source.contract["records"] is not None:
        return F.lit(True)
    listed = F.concat(F.lit("["), F.col("record"), F.lit("]"))
    count = F.size(F.from_json(listed, "array<string>", JSON_OPTIONS))
    alone = F.coalesce(count == 1, F.lit(False))
    return F.col("columns").isNotNull() | alone if "columns" in found.columns else alone


def _tree(source: Source) -> dict[str, Any]:
    """The payload's shape as far as the contract reads it: names to names or to None."""
    tree: dict[str, Any] = {}
    for column, path, _, _ in source.read_columns():
        *parents, leaf = path.split(".")
        here = tree
        for name in parents:
            here = here.setdefault(name, {})
            if here is None:
                raise ContractBroken(f"{source.name}.{column}: {path} lies below another column")
        if isinstance(here.get(leaf), dict):
            raise ContractBroken(f"{source.name}.{column}: {path} lies above another column")
        here[leaf] = None
    return tree


def _schema(tree: Mapping[str, Any]) -> StructType:
    """Leaves are text: any scalar is taken as it is written, and judged by its decoding."""
    return StructType(
        [
            StructField(name, StringType() if below is None else _schema(below))
            for name, below in tree.items()
        ]
    )


def _at(path: str) -> Column:
    return F.col("p." + ".".join(f"`{name}`" for name in path.split(".")))


def _masked(tree: Mapping[str, Any], source: Source) -> Column:
    """The record as JSON with personal columns masked: only what the contract names."""
    personal = {path for _, path, _, column in source.read_columns() if column.get("personal")}

    def masked(below: Mapping[str, Any], prefix: str) -> Column:
        fields = []
        for name, inner in below.items():
            path = f"{prefix}{name}"
            if inner is not None:
                value = masked(inner, f"{path}.")
            elif path in personal:
                value = F.when(_at(path).isNotNull(), F.lit("***"))
            else:
                value = F.substring(_at(path), 1, 1000)
            fields.append(value.alias(name))
        return F.struct(*fields)

    return F.when(F.col("p").isNotNull(), F.to_json(masked(tree, "")))


def _error(code: str | Column, column: str | None, message: str | Column) -> Column:
    text = message if isinstance(message, Column) else F.lit(message)
    return F.struct(
        (code if isinstance(code, Column) else F.lit(code)).alias("code"),
        F.lit(column).cast("string").alias("column"),
        text.alias("message"),
    )


def _decoded(raw: Column, decoding: str, to: DataType, postgres: bool = False) -> Column:
    """The typed value, NULL where the text does not decode. Without UDF, without exceptions.

    postgres: also as PostgreSQL writes truth and what is no number.
    """
    text = F.trim(raw)
    number = F.when(text.rlike(NUMBER), text)
    if decoding == "text":
        return raw
    if decoding == "integer":
        return F.when(text.rlike(r"^[+-]?\d+$"), text).cast("bigint")
    if decoding == "float":
        if postgres:
            number = F.when(text.isin("NaN", "Infinity", "-Infinity"), text).otherwise(number)
        return number.cast("double")
    if decoding == "decimal":
        value = number.cast("decimal(38,9)")
        # A tenth digit behind the point would be rounded away.
        exact = text.rlike(NINE_BEHIND) | (number.cast("decimal(38,18)") == value)
        return F.when(exact & ~text.rlike(NOT_AS_SENT), value)
    if decoding == "boolean":
        yes, no = (["true", "t"], ["false", "f"]) if postgres else (["true"], ["false"])
        return F.when(F.lower(text).isin(yes), True).when(F.lower(text).isin(no), False)
    if decoding == "epoch_ms":
        ms = F.when(text.rlike(r"^[+-]?\d{1,15}$"), text).cast("bigint")
        ms = F.coalesce(ms, number.cast("decimal(38,0)").cast("bigint"))
        instant = F.when(
            F.abs(ms) <= LAST_MS, F.timestamp_seconds(ms / F.lit(1000).cast("decimal(4,0)"))
        )
        return instant.cast(to)
    if decoding == "iso":
        whole = F.regexp_replace(F.regexp_replace(text, ",", "."), r"([+-]\d{2})(\d{2})$", "$1:$2")
        return F.when(text.rlike(ISO), whole).cast("timestamp")
    if decoding == "date":
        return F.when(text.rlike(ISO), F.substring(text, 1, 10)).cast("date")
    if decoding == "json_array":
        return F.from_json(raw, to.simpleString(), {"maxStringLen": JSON_OPTIONS["maxStringLen"]})
    raise ContractBroken(f"unknown decoding {decoding}")


def _faults(name: str, decoding: str, column: Mapping[str, Any], source: Source) -> list[Column]:
    """The checks of one column that is read from the payload, in the order they are told."""
    raw, value = F.col(f"_raw_{name}"), F.col(name)
    empty = raw.isNull() | (F.trim(raw) == "")
    shown = (
        F.lit("a value that is masked")
        if column.get("personal")
        else F.concat(F.lit('"'), F.substring(raw, 1, SHOWN), F.lit('"'))
    )
    faults = []
    if column.get("required"):
        missing = f"{name} is required and missing"
        faults.append(F.when(empty, _error("missing_required", name, missing)))
    if decoding != "text":
        said = F.concat(F.lit(f"{name} is "), shown, F.lit(f", which is no {decoding}"))
        faults.append(F.when(~empty & value.isNull(), _error("invalid_value", name, said)))
    if column["type"] in ("TIMESTAMP", "DATE") and not column.get("repeated"):
        bounds = source.contract["bounds"]
        earliest = F.lit(bounds["earliest"]).cast("timestamp")
        latest = F.col("observed_at") + F.expr(f"INTERVAL {int(bounds['days_ahead'])} DAYS")
        instant = value.cast("timestamp")
        said = F.concat(
            F.lit(f"{name} is "),
            shown,
            F.lit(" ("),
            F.date_format(instant, "yyyy-MM-dd"),
            F.lit(f"), not between {bounds['earliest']} and {bounds['days_ahead']} days from now"),
        )
        outside = (instant < earliest) | (instant > latest)
        faults.append(F.when(outside, _error("out_of_bounds", name, said)))
    return faults


def pads(spark: SparkSession, key: bytes) -> DataFrame:
    """The key of the address hash, prepared for HMAC (RFC 2104), as one row.

    A row, because a literal would stand in plans and event logs.
    """
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner, outer = (bytearray(byte ^ mask for byte in block) for mask in (0x36, 0x5C))
    jvm, gateway = spark._jvm, spark.sparkContext._gateway
    values = gateway.new_array(jvm.java.lang.Object, 2)
    values[0], values[1] = bytes(inner), bytes(outer)
    rows = jvm.java.util.Collections.singletonList(
        jvm.org.apache.spark.sql.RowFactory.create(values)
    )
    schema = jvm.org.apache.spark.sql.types.StructType.fromDDL("_inner binary, _outer binary")
    return DataFrame(spark._jsparkSession.createDataFrame(rows, schema), spark)


def _hmac(column: Column, repeated: bool) -> Column:
    """HMAC-SHA256 of the trimmed, lower-cased text; NULL for nothing. Hexadecimal."""

    def one(text: Column) -> Column:
        clean = F.lower(F.regexp_replace(text, r"^\s+|\s+$", ""))
        message = F.encode(clean, "UTF-8")
        inner = F.unhex(F.sha2(F.concat(F.col("_inner"), message), 256))
        return F.when(clean != "", F.sha2(F.concat(F.col("_outer"), inner), 256))

    return F.transform(column, one) if repeated else one(column)
