"""What is computed now, what later, and what operators ask for. Without Spark."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from jobs.contract import read_domain
from jobs.partitions import Partition, Touched, plan, recompute

DOMAIN = read_domain("email")
SEND = DOMAIN.tables["email.email_send"]
USER = DOMAIN.tables["email.dim_user"]


def day(number: int) -> date:
    return date(2026, 10, number)


def known(table=SEND, days=range(1, 11)) -> dict[date | None, Partition]:
    fresh = Partition(1, "hash", table.code_hash, False)
    return {None: fresh, **{day(number): fresh for number in days}}


def test_touched_days_are_computed_now_however_many() -> None:
    touched = Touched(now=frozenset(day(number) for number in range(1, 11)))
    assert plan(SEND, known(), touched, False, 2).compute == touched.now


def test_days_a_dimension_touches_are_worked_off_newest_first() -> None:
    touched = Touched(now=frozenset([day(3)]), later=frozenset(day(n) for n in range(1, 7)))
    todo = plan(SEND, known(), touched, False, 2)
    assert todo.compute == {day(3), day(6), day(5)}
    assert todo.stale == {day(4), day(2), day(1)}


def test_a_change_of_code_makes_all_days_stale() -> None:
    old = {at: replace(was, code_hash="older") for at, was in known().items()}
    todo = plan(SEND, old, Touched(), False, 3)
    assert todo.compute == {day(10), day(9), day(8)}
    assert len(todo.stale) == 7


def test_a_table_without_days_is_computed_when_new_stale_or_touched() -> None:
    fresh = known(USER, [])
    assert plan(USER, fresh, Touched(), False, 1).compute == frozenset()
    assert plan(USER, fresh, Touched(), True, 1).compute == {None}
    assert plan(USER, {}, Touched(), False, 1).compute == {None}
    old = {None: replace(fresh[None], code_hash="older")}
    assert plan(USER, old, Touched(), False, 1).compute == {None}


def test_recompute_marks_the_asked_days_and_ignores_tables_that_are_gone() -> None:
    state = {SEND.name: known(), USER.name: known(USER, [])}
    asked = [
        {"table": "email.email_send", "from": "2026-10-03", "to": "2026-10-05"},
        {"table": "dim_user", "from": None, "to": None},
        {"table": "email.no_such_table", "from": None, "to": None},
    ]
    marked = recompute(DOMAIN, state, asked)
    assert {at for at, was in marked[SEND.name].items() if was.stale} == {day(3), day(4), day(5)}
    assert marked[USER.name][None].stale
    assert not any(was.stale for was in state[SEND.name].values())


def test_the_code_hash_follows_the_views_and_lists_that_the_sql_reads() -> None:
    assert "judged_events" in SEND.views
    assert DOMAIN.tables["email.dim_country"].views == ()
    assert len({table.code_hash for table in DOMAIN.tables.values()}) == len(DOMAIN.tables)
