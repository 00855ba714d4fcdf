"""Reads what `./tributary render` wrote: contracts, and the SQL that belongs to them.

No column is named in Python: everything about columns comes from here.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql.types import StructType

DEFAULT_DECODING = {
    "STRING": "text",
    "INT64": "integer",
    "FLOAT64": "float",
    "NUMERIC": "decimal",
    "BOOL": "boolean",
    "DATE": "date",
    "TIMESTAMP": "iso",
}


class ContractBroken(Exception):
    """What is deployed does not fit together; trying again changes nothing."""


@dataclass(frozen=True)
class Source:
    """One source: how its records are read, and its silver table."""

    name: str
    contract: Mapping[str, Any]
    struct: StructType

    @property
    def bare(self) -> str:
        return self.name.split(".")[1]

    @property
    def path(self) -> str:
        return f"silver/{self.name.replace('.', '/')}"

    @property
    def columns(self) -> Mapping[str, Mapping[str, Any]]:
        return self.contract["columns"]

    @property
    def key(self) -> list[str]:
        return list(self.contract["key"])

    @property
    def thing(self) -> list[str]:
        """Which of the key tell what a row is about; the others tell its versions apart."""
        return list(self.contract["arrives"].get("primary_key", self.key))

    @property
    def dated(self) -> bool:
        return "event_time" in self.contract

    @property
    def also_by(self) -> str | None:
        return self.contract.get("also_by")

    def read_columns(self) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
        """Columns read from the payload: name, path, decoding, declaration."""
        for name, column in self.columns.items():
            if "sql" not in column and "hash_of" not in column:
                decoding = column.get("as", DEFAULT_DECODING[column["type"]])
                yield name, column.get("from", name), decoding, column


@dataclass(frozen=True)
class Table:
    """One table: its rows as rendered, its SQL, what touches it."""

    name: str
    contract: Mapping[str, Any]
    struct: StructType
    sql: str
    """Changes with the SQL, the views and lists it reads, and the contract."""
    code_hash: str
    """Views (`sql/<domain>/views`) its SQL reads, each after those it reads itself."""
    views: tuple[str, ...]

    @property
    def bare(self) -> str:
        return self.name.split(".")[1]

    @property
    def path(self) -> str:
        return f"gold/{self.name.replace('.', '/')}"

    @property
    def partition(self) -> str | None:
        return self.contract.get("partition")

    @property
    def reads(self) -> Mapping[str, Any]:
        return self.contract["reads"]


@dataclass(frozen=True)
class Domain:
    name: str
    contract: Mapping[str, Any]
    sources: Mapping[str, Source]
    """In an order in which each comes after the tables it reads."""
    tables: Mapping[str, Table]
    views: Mapping[str, str]
    """SQL of the domain's checks, by name."""
    checks: Mapping[str, str]

    @property
    def lists(self) -> Mapping[str, Any]:
        return self.contract.get("lists", {})


def _root() -> Any:
    """The project's folder, or the zip that Dataproc put on the path."""
    archive = getattr(globals().get("__loader__"), "archive", None)
    if archive is not None:
        return zipfile.Path(archive)
    return Path(__file__).resolve().parent.parent


def _folder(*parts: str) -> Any:
    here = _root()
    for part in parts:
        here = here / part
    return here


def _sql_files(folder: Any) -> dict[str, str]:
    if not folder.is_dir():
        return {}
    return {
        entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".sql")
    }


def mentions(sql: str, name: str) -> bool:
    """Whether the SQL names this view or table (comments left out)."""
    return re.search(rf"\b{re.escape(name)}\b", re.sub(r"--[^\n]*", "", sql)) is not None


def rendered(domain: str, name: str) -> Mapping[str, Any]:
    """One rendered contract.

    Raises ContractBroken when it is not there.
    """
    path = _folder("schemas", "rendered", domain) / f"{name}.json"
    if not path.is_file():
        raise ContractBroken(f"{domain}.{name} is not rendered; run ./tributary render")
    return json.loads(path.read_text(encoding="utf-8"))


def read_domain(name: str) -> Domain:
    """The domain with its sources, tables, views and checks.

    Raises ContractBroken when a piece is missing or the tables read in a circle.
    """
    contract = rendered(name, "domain")["contract"]
    sources: dict[str, Source] = {}
    found: dict[str, Mapping[str, Any]] = {}
    for entry in sorted(_folder("schemas", "rendered", name).iterdir(), key=lambda e: e.name):
        if not entry.name.endswith(".json"):
            continue
        value = json.loads(entry.read_text(encoding="utf-8"))
        if value["kind"] == "source":
            struct = StructType.fromJson(value["spark"])
            sources[value["name"]] = Source(value["name"], value["contract"], struct)
        elif value["kind"] == "table":
            found[value["name"]] = value
    views = _sql_files(_folder("jobs", "sql", name, "views"))
    sql = _sql_files(_folder("jobs", "sql", name))
    tables: dict[str, Table] = {}
    for full in _in_order(found):
        bare = full.split(".")[1]
        if bare not in sql:
            raise ContractBroken(f"{full}: jobs/sql/{name}/{bare}.sql is missing")
        tables[full] = _table(found[full], sql[bare], views, contract.get("lists", {}))
    checks = _sql_files(_folder("jobs", "sql", name, "checks"))
    declared = set(contract.get("checks", {}))
    if declared != set(checks):
        raise ContractBroken(
            f"{name}: checks {sorted(declared ^ set(checks))} lack SQL or contract"
        )
    return Domain(name, contract, sources, tables, views, checks)


def _table(
    value: Mapping[str, Any], sql: str, views: Mapping[str, str], lists: Mapping[str, Any]
) -> Table:
    needed = views_of(sql, views)
    text = "\n".join([sql, *(views[view] for view in needed)])
    used = {name: lists[name] for name in sorted(lists) if mentions(text, name)}
    # What a change touches says nothing about how a row is computed.
    computed = {
        key: value["contract"][key] for key in ("key", "columns") if key in value["contract"]
    }
    digest = hashlib.sha256()
    for part in (text, json.dumps(computed), json.dumps(value["spark"]), json.dumps(used)):
        digest.update(part.encode() + b"\0")
    return Table(
        value["name"],
        value["contract"],
        StructType.fromJson(value["spark"]),
        sql,
        digest.hexdigest()[:32],
        needed,
    )


def views_of(sql: str, views: Mapping[str, str]) -> tuple[str, ...]:
    """Views a query needs, each after those it reads itself."""
    order: list[str] = []

    def visit(text: str, path: tuple[str, ...]) -> None:
        for view in views:
            if view in path or not mentions(text, view):
                continue
            visit(views[view], (*path, view))
            if view not in order:
                order.append(view)

    visit(sql, ())
    return tuple(order)


def _in_order(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ContractBroken(f"{name} reads itself through {' -> '.join(path)}")
        if name in order:
            return
        for other in found[name]["contract"]["reads"]:
            if other in found:
                visit(other, (*path, name))
        order.append(name)

    for name in sorted(found):
        visit(name, ())
    return order
