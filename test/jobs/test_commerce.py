"""The commerce tables on a shop small enough to work out by hand, and on a simulated one.

What happened is landed in four steps, a batch each. A second lake gets what was worked out by hand,
and what was drawn from a seed, in the opposite order and in two batches: it must come to the same
rows. The simulated shop (of other days, users and products) says itself what the tables must show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from commerce_records import STEPS, records, world
from pipeline import NOW, Pipeline
from pyspark.sql import SparkSession

from jobs.contract import read_domain
from jobs.delta import Lake
from jobs.partitions import state_path

TABLES = [table.bare for table in read_domain("commerce").tables.values()]


def land(pipeline: Pipeline, step: int, order: int = 1, busy: bool = True) -> None:
    for source in sorted(read_domain("commerce").sources, reverse=order < 0):
        source = source.split(".")[1]
        sent = records(step, source, busy)[::order]
        if not sent:
            continue
        pages = [{"orders": sent, "next_cursor": None}] if source == "orders" else sent
        pipeline.land(source, pages, NOW + timedelta(hours=step))


class Ran:
    """A lake after each step."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.manifests: dict[int, Any] = {}
        self.tables: dict[int, dict[str, list[dict[str, Any]]]] = {}
        for step in STEPS:
            land(pipeline, step)
            if step == 4:
                # As if this release had brought the table: it must get all its days.
                forget(pipeline, "unique_visitors")
            self.manifests[step] = pipeline.batch()
            self.tables[step] = contents(pipeline)

    def rows(self, step: int, table: str, **where: Any) -> list[dict[str, Any]]:
        return [
            row
            for row in self.tables[step][table]
            if all(row[name] == value for name, value in where.items())
        ]

    def row(self, step: int, table: str, **where: Any) -> dict[str, Any]:
        rows = self.rows(step, table, **where)
        assert len(rows) == 1, (table, where, rows)
        return rows[0]


def forget(pipeline: Pipeline, table: str) -> None:
    """Takes a table out of the state of the last batch."""
    path = state_path("commerce")
    lake = Lake(pipeline.warm, pipeline.buckets["lake"])
    pipeline.warm.sql(f"DELETE FROM delta.`{lake.uri(path)}` WHERE `table` = 'commerce.{table}'")
    version = lake.version(path)
    assert version is not None
    pipeline.base = {**pipeline.base, path: version}


def contents(pipeline: Pipeline) -> dict[str, list[dict[str, Any]]]:
    return {name: pipeline.rows(name) for name in TABLES}


@pytest.fixture(scope="module")
def ran(warm: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    pipeline = Pipeline(warm, tmp_path_factory.mktemp("lake"), domain="commerce")
    yield Ran(pipeline)
    pipeline.close()


def shown(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def money(text: str) -> Decimal:
    return Decimal(text)


def test_an_order_line_seen_by_both_is_one_row_with_the_streams_time_and_the_apis_price(
    ran: Ran,
) -> None:
    row = ran.row(1, "user_behavior", order_id="o1")
    assert shown(row, "event_id", "event_at", "user_name", "product_name") == (
        "e03",
        "2026-11-10T09:25:00.000Z",
        "Ann",
        "Kettle, 1.7 l",
    )
    assert shown(row, "price", "quantity", "amount") == (money("19.99"), 2, money("39.98"))
    only_api = ran.row(1, "user_behavior", order_id="o3")
    assert shown(only_api, "event_id", "event_at") == ("order:o3:p2", "2026-11-11T12:00:00.000Z")
    only_stream = ran.row(1, "user_behavior", order_id="o2")
    assert shown(only_stream, "event_id", "price", "is_in_orders") == ("e08", money("5"), False)


def test_lines_of_one_product_are_told_apart_and_a_repeated_event_is_not_another(ran: Ran) -> None:
    rows = ran.rows(1, "user_behavior", order_id="o4")
    found = sorted(shown(row, "event_id", "order_line_id", "price") for row in rows)
    assert found == [("e09", "1", money("20")), ("e10", "2", money("18"))]


def test_an_event_that_comes_later_takes_the_row_to_its_own_day(ran: Ran) -> None:
    before = ran.row(1, "user_behavior", order_id="o5")
    assert shown(before, "date", "event_id") == ("2026-11-14", "order:o5:p2")
    after = ran.row(3, "user_behavior", order_id="o5")
    assert shown(after, "date", "event_id", "price") == ("2026-11-13", "e12", money("12.5"))
    # Four days lie between what the stream and the API say.
    far = ran.row(3, "user_behavior", order_id="o6")
    assert shown(far, "date", "event_id", "price", "seen_on") == (
        "2026-11-12",
        "e13",
        money("0.1"),
        ["2026-11-12", "2026-11-16"],
    )


def test_an_order_whose_date_is_corrected_moves(ran: Ran) -> None:
    for table, day in (("user_behavior", "date"), ("orders_enriched", "order_date")):
        assert ran.row(1, table, order_id="o10")[day] == "2026-11-15"
        assert ran.row(2, table, order_id="o10")[day] == "2026-11-16"


def test_a_correction_that_is_taken_back_is_none(ran: Ran) -> None:
    columns = ("product_id", "event_at", "price")
    (corrected,) = ran.rows(2, "user_behavior", order_id="o12")
    assert shown(corrected, *columns) == ("p1", "2026-11-06T11:00:00.000Z", money("6"))
    (corrected,) = ran.rows(2, "user_behavior", order_id="o13")
    assert shown(corrected, *columns) == ("p2", "2026-11-08T11:00:00.000Z", money("6"))
    for order, at in (("o12", "06T10:00:00"), ("o13", "07T11:00:00")):
        (row,) = ran.rows(4, "user_behavior", order_id=order)
        assert shown(row, *columns) == ("p1", f"2026-11-{at}.000Z", money("5"))
        (row,) = ran.rows(4, "orders_enriched", order_id=order)
        assert shown(row, "product_id", "unit_price") == ("p1", money("5"))


def test_a_session_is_its_day_and_its_id(ran: Ran) -> None:
    row = ran.row(1, "user_profile", user_id="u7")
    assert shown(row, "sessions", "conversion_rate") == (2, 0.5)


def test_a_product_that_is_what_it_was_shows_it(ran: Ran) -> None:
    names = [ran.row(step, "user_behavior", event_id="e23")["product_name"] for step in STEPS]
    assert names == ["Jug", "Pitcher", "Pitcher", "Jug"]
    gone = [ran.row(step, "product_catalog", product_id="p6")["is_deleted"] for step in STEPS]
    assert gone == [False, True, True, False]
    ends = [ran.row(step, "product_prices", product_id="p6")["valid_to"] for step in STEPS]
    assert [end is not None for end in ends] == gone


def test_names_are_what_is_known_by_now(ran: Ran) -> None:
    assert ran.row(1, "user_behavior", event_id="e08")["user_name"] is None
    assert ran.row(2, "user_behavior", event_id="e08")["user_name"] == "Bob"
    assert ran.row(1, "user_behavior", event_id="e19")["product_name"] is None
    assert shown(ran.row(2, "user_behavior", event_id="e19"), "product_name", "category") == (
        "Mug",
        "Kitchen",
    )
    for table in ("user_behavior", "orders_enriched", "user_profile"):
        names = {row["user_name"] for row in ran.rows(2, table, user_id="u1")}
        assert names == {"Anna"}, table
    # A product that is gone keeps its name; a user who is gone has none.
    assert ran.row(3, "user_behavior", event_id="e01")["product_name"] == "Kettle, 1.7 l"
    assert ran.row(3, "product_catalog", product_id="p1")["is_deleted"] is True
    assert {row["user_name"] for row in ran.rows(3, "user_behavior", user_id="u3")} == {None}


def test_a_missing_price_is_the_products_at_that_time(ran: Ran) -> None:
    assert ran.row(1, "user_behavior", event_id="e18")["price"] == money("10")
    for event_id, price in (("e02", "10"), ("e18", "12.5"), ("e19", "4"), ("e06", "999")):
        row = ran.row(2, "user_behavior", event_id=event_id)
        assert shown(row, "price", "is_price_estimated") == (money(price), True), event_id
    assert shown(ran.row(2, "orders_enriched", order_id="o3"), "unit_price", "line_amount") == (
        money("10"),
        money("30"),
    )
    # Where nobody knew a price at all, the first one that is known counts.
    unknown, known = (ran.row(step, "user_behavior", event_id="e20") for step in (1, 2))
    assert shown(unknown, "price", "amount", "is_price_estimated") == (None, None, False)
    assert shown(known, "price", "amount", "is_price_estimated") == (money("4"), money("4"), True)
    assert ran.row(1, "orders_enriched", order_id="o15")["line_amount"] is None
    assert ran.row(2, "orders_enriched", order_id="o15")["line_amount"] == money("8")
    # A catalog says nothing where the shop names a price.
    assert ran.row(1, "user_behavior", event_id="e21")["price"] == money("15")
    belt = ran.row(1, "product_prices", product_id="f2")
    assert shown(belt, "price", "valid_to") == (money("15"), None)
    lamp = ran.rows(2, "product_prices", product_id="p2")
    assert [shown(row, "price", "valid_from", "valid_to") for row in lamp] == [
        (money("10"), "2026-11-02T00:00:00.000Z", "2026-11-12T00:00:00.000Z"),
        (money("12.5"), "2026-11-12T00:00:00.000Z", None),
    ]


def test_a_late_event_joins_two_sessions_and_the_first_keeps_its_id(ran: Ran) -> None:
    of_ann = [row for row in ran.rows(1, "sessions", user_id="u1", session_date="2026-11-10")]
    assert sorted(shown(row, "session_id", "events") for row in of_ann) == [
        ("u1@2026-11-10T09:00Z", 3),
        ("u1@2026-11-10T10:00Z", 1),
    ]
    joined = ran.row(2, "sessions", user_id="u1", session_date="2026-11-10")
    assert shown(joined, "session_id", "events", "views", "orders", "amount_spent") == (
        "u1@2026-11-10T09:00Z",
        5,
        3,
        1,
        money("39.98"),
    )


def test_a_session_with_its_own_id_belongs_to_the_day_it_began(ran: Ran) -> None:
    row = ran.row(3, "sessions", session_id="s-1")
    assert shown(row, "session_date", "ended_at", "events", "amount_spent") == (
        "2026-11-10",
        "2026-11-11T00:20:00.000Z",
        3,
        money("5"),
    )


def test_an_id_that_never_rests_is_cut_after_a_week(ran: Ran) -> None:
    def found(step: int) -> dict[str, int]:
        rows = ran.rows(step, "sessions", session_id="s-restless")
        return {row["session_date"][-2:]: row["events"] for row in rows}

    # With a whole day between any two events each day is a session of its own.
    assert found(1) == {"01": 1, "03": 1, "05": 1, "07": 1, "09": 1}
    assert found(2) == {"01": 7, "08": 1, "09": 1, "10": 1}
    # Without one of its first days the week before the eighth is no week any more.
    assert found(4) == {"01": 3, "05": 6}
    assert ran.row(4, "spend_per_session", date="2026-09-04")["sessions"] == 1
    assert ran.rows(4, "spend_per_session", date="2026-09-08") == []


def test_returns_free_and_negative_prices_count_as_they_stand(ran: Ran) -> None:
    row = ran.row(1, "user_behavior", order_id="r7")
    assert shown(row, "event_id", "event_name", "quantity", "amount") == (
        "e14",
        "return",
        -1,
        money("-20"),
    )
    assert ran.row(1, "orders_enriched", order_id="o8")["is_negative_price"] is True
    assert ran.row(1, "orders_enriched", order_id="o9")["line_amount"] == 0
    quality = {(q["subject"], q["check"]): q for q in ran.manifests[1]["quality"]}
    negative = ran.rows(1, "orders_enriched", is_negative_price=True)
    assert quality["commerce.orders_enriched", "negative_price"]["failed"] == len(negative)
    named = ("view", "order", "wishlist", "return")
    others = sum(r["events"] for r in ran.rows(1, "daily_traffic") if r["event_name"] not in named)
    assert quality["commerce.daily_traffic", "unknown_event_name"]["failed"] == others >= 2
    assert all(q["passed"] for m in ran.manifests.values() for q in m["quality"])
    day = ran.row(3, "orders_by_date", date="2026-11-15")
    assert shown(day, "orders", "amount", "average_order_amount", "returns", "amount_returned") == (
        2,
        money("-3.5"),
        money("-1.75"),
        1,
        money("20"),
    )
    # Only its state said that o1 came back.
    assert ran.row(3, "orders_by_date", date="2026-11-10")["amount_returned"] == money("39.98")


def test_an_older_first_visit_makes_later_days_returning(ran: Ran) -> None:
    def days(step: int) -> list[tuple[Any, ...]]:
        rows = sorted(ran.rows(step, "unique_visitors"), key=lambda row: row["date"])
        names = ("date", "visitors", "new_visitors", "returning_visitors")
        hand_made = [row for row in rows if row["date"] >= "2026-11-09"]
        return [(row["date"][-2:], *shown(row, *names)[1:]) for row in hand_made]

    assert days(1) == [
        ("10", 2, 2, 0),
        ("11", 2, 0, 2),
        ("12", 1, 0, 1),
        ("13", 1, 0, 1),
        ("14", 1, 1, 0),
        ("15", 3, 1, 2),
        ("16", 1, 0, 1),
    ]
    assert days(2) == [
        ("09", 1, 1, 0),
        ("10", 2, 2, 0),
        ("11", 2, 0, 2),
        ("12", 2, 0, 2),
        ("13", 2, 0, 2),
        ("15", 3, 1, 2),
        ("16", 1, 0, 1),
    ]


def test_metrics_are_exact(ran: Ran) -> None:
    spent = ran.row(3, "spend_per_session", date="2026-11-10")
    assert shown(spent, "sessions", "buying_sessions", "users", "amount_spent") == (
        2,
        2,
        2,
        money("44.98"),
    )
    assert shown(spent, "average_per_session", "average_per_user_per_session") == (
        money("22.49"),
        money("22.49"),
    )
    views = ran.rows(3, "top_products", date="2026-11-10", event_name="view")
    assert sorted(shown(row, "day_rank", "product_id", "events") for row in views) == [
        (1, "p1", 2),
        (2, "f1", 1),
        (3, "p2", 1),
    ]
    anna = ran.row(3, "user_profile", user_id="u1")
    assert shown(anna, "orders", "order_lines", "returns", "amount_spent", "return_rate") == (
        3,
        4,
        1,
        money("107.98"),
        0.25,
    )
    assert shown(anna, "sessions", "conversion_rate", "favourite_category") == (5, 0.6, "Kitchen")
    never = ran.row(3, "user_profile", user_id="u4")
    assert shown(never, "first_seen_date", "sessions", "conversion_rate") == (None, 0, None)


def test_a_change_touches_only_the_days_it_concerns(ran: Ran) -> None:
    written = {output["table"]: output for output in ran.manifests[3]["tables"]}

    def days(table: str) -> set[str]:
        """Without October, in which much else happens."""
        found = written.get(f"commerce.{table}", {"partitions": []})["partitions"]
        return {day for day in found if not "2026-10" <= day < "2026-11"}

    # Only Cy's name is gone, so only the days Cy was seen on are written again.
    assert days("user_behavior") == {"2026-11-09", "2026-11-12", "2026-11-13", "2026-11-15"}
    assert days("sessions") == days("daily_traffic") == set()


def test_any_order_of_arrival_gives_the_same_rows(
    ran: Ran, warm: SparkSession, tmp_path: Path
) -> None:
    other = Pipeline(warm, tmp_path, domain="commerce")
    land(other, 4, order=-1, busy=False)
    land(other, 3, order=-1, busy=False)
    land(other, 2, order=-1, busy=False)
    other.batch()
    land(other, 1, order=-1, busy=False)
    # What was there already is seen again.
    land(other, 2, busy=False)
    other.batch()
    theirs = contents(other)
    for name, rows in ran.tables[4].items():
        mine, others = (
            [row for row in found if not of_the_simulated_shop(name, row)]
            for found in (rows, theirs[name])
        )
        assert mine and others == mine, name
    other.close()


def of_the_simulated_shop(table: str, row: dict[str, Any]) -> bool:
    """Its days are nobody else's; nor are its users, whose profiles tell what they did."""
    day = read_domain("commerce").tables[f"commerce.{table}"].partition
    if day is not None:
        return "2026-06" <= row[day] < "2026-07"
    return table == "user_profile" and re.match(r"(u|guest)-", row["user_id"]) is not None


def test_a_simulated_shop_is_found_again_to_the_cent(ran: Ran) -> None:
    facts = world()["facts"]

    def simulated(table: str, day: str = "date") -> dict[str, dict[str, Any]]:
        return {row[day]: row for row in ran.rows(3, table) if row[day] < "2026-07"}

    def cents(amount: Decimal) -> Decimal:
        return amount * 100

    behavior = [row for row in ran.rows(3, "user_behavior") if row["date"] < "2026-07"]
    assert len(behavior) == facts["rows"]
    traffic: dict[str, dict[str, int]] = {}
    for row in ran.rows(3, "daily_traffic"):
        traffic.setdefault(row["date"], {})[row["event_name"]] = row["events"]
    visitors, spent = simulated("unique_visitors"), simulated("spend_per_session")
    ordered = simulated("orders_by_date")
    for day in facts["days"]:
        date = day["date"]
        assert traffic.get(date, {}) == day["events"], date
        seen = visitors.get(date, {"visitors": 0, "new_visitors": 0})
        assert shown(seen, "visitors", "new_visitors") == shown(day, "visitors", "new_visitors")
        if day["sessions"]:
            row = spent[date]
            names = ("sessions", "buying_sessions")
            assert shown(row, *names) == shown(day, *names), date
            assert cents(row["amount_spent"]) == day["spent_cents"], date
        if day["orders"]:
            row = ordered[date]
            names = ("orders", "order_lines", "buyers", "returns")
            assert shown(row, *names) == shown(day, *names), date
            assert cents(row["amount"]) == day["ordered_cents"], date
    top = {
        (row["date"], row["event_name"], row["product_id"]): row
        for row in ran.rows(3, "top_products")
        if row["date"] < "2026-07"
    }
    expected = {
        (one["date"], one["event_name"], one["product_id"]): one for one in facts["product_days"]
    }
    assert set(top) == set(expected)
    for key, one in expected.items():
        assert shown(top[key], "events", "users") == shown(one, "events", "users"), key
        assert cents(top[key]["amount"]) == one["cents"], key


def test_what_is_planted_in_the_simulated_shop_shows(ran: Ran) -> None:
    planted, facts = world()["planted"], world()["facts"]
    viral = planted["viral"]
    best = ran.row(3, "top_products", date=viral["from"], event_name="view", day_rank=1)
    assert shown(best, "product_id", "events") == (viral["productId"], facts["viral"]["views"])
    bug = planted["checkoutBug"]
    phones = [row for row in ran.rows(3, "sessions") if row["session_id"].startswith("m-")]
    during = [row for row in phones if bug["from"] <= row["session_date"] <= bug["to"]]
    assert len(during) == facts["checkout_bug"]["sessions"] > 0
    assert not any(row["orders"] for row in during)
    assert (
        sum(row["orders"] > 0 for row in phones) == facts["checkout_bug"]["other_buying_sessions"]
    )
