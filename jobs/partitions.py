"""Which partitions of which table have to be computed, and what is known of each.

The state is a Delta table below the lake. It is read as of the last loaded batch, so that an
attempt that died leaves nothing behind that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from jobs.contract import Domain, Table
from jobs.delta import Lake, local_frame

SCHEMA = (
    "`table`: string, partition: date, rows: bigint, content_hash: string, code_hash: string,"
    " stale: boolean, files: array<string>"
)


@dataclass(frozen=True)
class Partition:
    """One partition of a table as of some batch; `content_hash` None = never computed.

    files: what it consists of, as paths below the lake; nothing but this says so.
    """

    rows: int
    content_hash: str | None
    code_hash: str | None
    stale: bool
    files: tuple[str, ...] = ()


# By table, then by day; the key None is the whole of an unpartitioned table, and of a partitioned
# one the mark that it is known.
State = dict[str, dict[date | None, Partition]]


def state_path(domain: str) -> str:
    return f"state/{domain}/partitions"


def read_state(lake: Lake, domain: str, version: int | None) -> State:
    state: State = {}
    if version is None:
        return state
    for row in lake.read(state_path(domain), version).collect():
        files = tuple(row.files)
        known = Partition(row.rows, row.content_hash, row.code_hash, row.stale, files)
        state.setdefault(row.table, {})[row.partition] = known
    return state


def write_state(lake: Lake, domain: str, state: State) -> int:
    """Writes the whole state; the version it got."""
    rows = [
        {"table": table, "partition": day and day.isoformat(), **vars(known)}
        for table, partitions in sorted(state.items())
        for day, known in sorted(partitions.items(), key=lambda item: item[0] or date.min)
    ]
    frame = local_frame(lake.spark, rows, SCHEMA)
    path = state_path(domain)
    frame.write.format("delta").mode("overwrite").save(lake.uri(path))
    version = lake.version(path)
    assert version is not None
    return version


@dataclass(frozen=True)
class Touched:
    """Days of one table that are out of date.

    now: computed in this batch. later: computed newest first as far as the batch's allowance goes.
    """

    now: frozenset[date] = frozenset()
    later: frozenset[date] = frozenset()

    def __or__(self, other: Touched) -> Touched:
        return Touched(self.now | other.now, self.later | other.later)


@dataclass(frozen=True)
class Plan:
    """What one table computes in this batch."""

    compute: frozenset[date | None]
    """What stays or becomes stale."""
    stale: frozenset[date]


def plan(
    table: Table,
    known: Mapping[date | None, Partition],
    touched: Touched,
    whole: bool,
    allowance: int,
) -> Plan:
    """Decides between now and later.

    whole: an input changed that concerns the whole table.
    """
    outdated = {
        day
        for day, partition in known.items()
        if partition.stale or partition.code_hash != table.code_hash
    }
    if table.partition is None:
        due = whole or None in outdated or None not in known
        return Plan(frozenset([None]) if due else frozenset(), frozenset())
    later = set(touched.later) | {day for day in outdated if day is not None}
    if whole:
        later |= {day for day in known if day is not None}
    later -= touched.now
    newest = sorted(later, reverse=True)
    taken = newest[:allowance]
    return Plan(touched.now | frozenset(taken), frozenset(newest[allowance:]))


def recompute(domain: Domain, state: State, requests: Iterable[Mapping[str, str | None]]) -> State:
    """Marks the partitions that operators want computed again as stale.

    requests: {table, from, to}; days inclusive, absent = open. Unknown tables are ignored: their
    contract is gone.
    """
    marked = {table: dict(partitions) for table, partitions in state.items()}
    for request in requests:
        name = str(request["table"])
        full = name if "." in name else f"{domain.name}.{name}"
        table = domain.tables.get(full)
        if table is None:
            continue
        first, last = request.get("from"), request.get("to")
        for day, known in marked.get(full, {}).items():
            if day is None:
                inside = table.partition is None
            else:
                text = day.isoformat()
                inside = (not first or first[:10] <= text) and (not last or text <= last[:10])
            if inside:
                marked[full][day] = replace(known, stale=True)
    return marked
