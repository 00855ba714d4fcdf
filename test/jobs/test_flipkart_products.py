"""Flipkart products in both layouts, from landed records to the newest row of every product."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from jobs import conform, merge
from jobs.contract import Source, read_domain

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = ROOT / "test" / "cases" / "commerce" / "flipkart_products" / "files"
GIVEN = ROOT.parent / "shared" / "material" / "products" / "flipkart_20000.csv"
PRICES = ("retail_price", "discounted_price")
UPLOADED = "2026-11-20T12:00:00.000Z"


def source() -> Source:
    return read_domain("commerce").sources["commerce.flipkart_products"]


def judged(spark: SparkSession, payloads: Iterable[str], **more: Any) -> DataFrame:
    lines = [
        (json.dumps({"observed_at": UPLOADED, "meta": more, "payload": payload}), "upload-1")
        for payload in payloads
    ]
    frame = spark.createDataFrame(lines, "line string, _run string")
    pads = conform.pads(spark, b"key of the tests")
    return conform.conformed(conform.records(frame, source()), source(), pads)


@pytest.fixture(scope="module")
def products(warm: SparkSession) -> dict[str, Row]:
    """The newest rows of the fixture; that the file lands as these records is upload's test."""
    payloads = (FILES / "fifteen_columns.records.ndjson").read_text(encoding="utf-8").splitlines()
    good = judged(warm, payloads).where("error IS NULL").select(*source().struct.fieldNames())
    rows = merge.newest(good, source()).collect()
    assert len({row.pid for row in rows}) == len(rows)
    return {row.pid: row for row in rows}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc]


def test_every_product_has_one_row(products: dict[str, Row]) -> None:
    assert sorted(products) == [
        "BOTAAAAAAAAAAAA5",
        "CAMAAAAAAAAAAAA6",
        "CAMAAAAAAAAAAAA7",
        "DUPAAAAAAAAAAAA8",
        "PENAAAAAAAAAAAA4",
        "SBEAAAAAAAAAAAA2",
        "SHOAAAAAAAAAAAA3",
        "SRTAAAAAAAAAAAA1",
        "TWIAAAAAAAAAAA10",
        "ÜNIAAAAAAAAAAA12",
    ]


def test_a_plain_row(products: dict[str, Row]) -> None:
    row = products["SRTAAAAAAAAAAAA1"]
    assert row.category == "Clothing"
    assert row.category_path == ["Clothing", "Women's Clothing", "Sleep & Swimwear", "Shorts"]
    assert (row.retail_price, row.discounted_price) == (Decimal(999), Decimal(379))
    assert (row.product_rating, row.overall_rating) == (None, None)
    assert row.is_fk_advantage_product is False
    assert row.images == ["http://img.example.com/a.jpeg", "http://img.example.com/b.jpeg"]
    assert row.crawled_at.astimezone(timezone.utc) == utc(2016, 3, 25, 22, 59, 23)
    assert json.loads(row.specifications) == {
        "product_specification": [{"key": "Fabric", "value": "Cotton"}, {"value": "Lycra"}]
    }


def test_texts_with_line_ends_and_quotes_arrive_whole(products: dict[str, Row]) -> None:
    row = products["SBEAAAAAAAAAAAA2"]
    assert row.description == (
        'Key features:\nsolid wood\r\nfits "most" rooms, even small ones\n\nWarranty: 1 year'
    )
    assert (row.product_rating, row.overall_rating) == (4.5, 3.0)
    assert row.is_fk_advantage_product is True
    assert row.retail_price == Decimal("32157.50")
    assert products["ÜNIAAAAAAAAAAA12"].product_name == "Crème brûlée set ✓ 陶器"


def test_what_is_missing_is_null(products: dict[str, Row]) -> None:
    row = products["SHOAAAAAAAAAAAA3"]
    missing = (row.category, row.category_path, row.brand, row.retail_price, row.discounted_price)
    assert missing == (None,) * 5
    assert products["BOTAAAAAAAAAAAA5"].images is None
    assert products["CAMAAAAAAAAAAAA6"].category is None


def test_a_tree_may_be_escaped_or_bare(products: dict[str, Row]) -> None:
    path = products["PENAAAAAAAAAAAA4"].category_path
    assert path == ["Pens & Stationery", "Pens", '5" Ruler & Pen …']
    assert products["CAMAAAAAAAAAAAA7"].category_path == ["Cameras", "Tripods"]


def test_specifications_keep_every_sign(products: dict[str, Row]) -> None:
    assert json.loads(products["PENAAAAAAAAAAAA4"].specifications) == {
        "product_specification": [
            {"key": 'Arrow "=>" sign', "value": "a=>b, \\ nil"},
            {"key": "Width", "value": '5" '},
            {"key": "Tag", "value": "#1"},
        ]
    }
    assert json.loads(products["BOTAAAAAAAAAAAA5"].specifications) == {
        "product_specification": {"key": "Capacity", "value": "350 ml"}
    }
    assert products["CAMAAAAAAAAAAAA6"].specifications == '{"product_specification":null}'
    # Ruby's bell has no place in JSON: the text stays as it came.
    raw = '{"product_specification"=>[{"key"=>"Bell", "value"=>"\\a"}]}'
    assert products["CAMAAAAAAAAAAAA7"].specifications == raw


def test_the_newest_crawl_wins_and_ties_are_settled(products: dict[str, Row]) -> None:
    row = products["DUPAAAAAAAAAAAA8"]
    assert (row.product_name, row.discounted_price) == ("The newer one", Decimal(200))
    # Which of two equal ages it is follows from their bytes, not from the order of reading.
    assert products["TWIAAAAAAAAAAA10"].discounted_price in (Decimal(11), Decimal(12))
    without = products["ÜNIAAAAAAAAAAA12"]
    assert without.crawled_at is None
    assert without.changed_at.astimezone(timezone.utc) == utc(2026, 11, 20, 12)


def test_the_order_of_records_does_not_matter(warm: SparkSession, products: dict[str, Row]) -> None:
    payloads = (FILES / "fifteen_columns.records.ndjson").read_text(encoding="utf-8").splitlines()
    good = judged(warm, reversed(payloads)).where("error IS NULL")
    rows = merge.newest(good.select(*source().struct.fieldNames()), source()).collect()
    assert {row.pid: row for row in rows} == products


def test_a_piece_that_upload_could_not_read_is_refused_with_its_reason(warm: SparkSession) -> None:
    told = {"code": "torn_file", "message": "line 7: the gzip is torn"}
    [row] = judged(warm, ['{"pid":"looks right"}'], file="a.csv.gz", refused=told).collect()
    assert (row["error"]["code"], row["error"]["message"]) == tuple(told.values())
    assert row.raw == '{"pid":"looks right"}'


def twenty_thousand() -> tuple[list[str], tuple[int, Decimal, Decimal]]:
    """Records of 19,998 products, and how many have a price and the sums of both prices.

    The given file where it is at hand, else records made up alike.
    """
    if GIVEN.exists():
        with GIVEN.open(encoding="utf-8", newline="") as opened:
            payloads = [json.dumps(row) for row in csv.DictReader(opened)]
        return payloads, (19_922, Decimal(59_351_744), Decimal(39_314_110))
    plain = (FILES / "fifteen_columns.records.ndjson").read_text(encoding="utf-8").splitlines()[0]
    made = []
    for number in range(20_000):
        prices = ("", "") if number % 250 == 0 else (str(number + 100), str(number + 50))
        own = {"pid": f"P{number % 19_998}", "uniq_id": f"u{number}"}
        own |= {"retail_price": prices[0], "discounted_price": prices[1]}
        made.append({**json.loads(plain), **own})
    priced = [one for one in made if one["retail_price"]]
    sums = (Decimal(sum(int(one[of]) for one in priced)) for of in PRICES)
    return [json.dumps(one) for one in made], (len(priced), *sums)


def test_a_file_of_twenty_thousand(warm: SparkSession) -> None:
    payloads, figures = twenty_thousand()
    rows = judged(warm, payloads).cache()
    assert rows.count() == 20_000
    assert rows.where("error IS NOT NULL").count() == 0
    prices = rows.where("retail_price IS NOT NULL").agg(
        F.count("*"), F.sum("retail_price"), F.sum("discounted_price")
    )
    assert tuple(prices.collect()[0]) == figures
    newest = merge.newest(rows.select(*source().struct.fieldNames()), source())
    assert newest.count() == 19_998
    rows.unpersist()
