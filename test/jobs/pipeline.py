"""A pipeline in a folder: lands runs, claims them, runs the real batch job, keeps the ledger."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import threading
import urllib.parse
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from jobs import transform
from jobs.contract import read_domain
from jobs.delta import Lake
from jobs.partitions import read_state, state_path

KEY = b"a key for tests, not a secret"
NOW = datetime(2026, 11, 21, 13, 0, tzinfo=timezone.utc)


class Pipeline:
    """Buckets as folders, with a Storage and a Secret Manager that know what the job asks."""

    def __init__(self, warm: SparkSession, root: Path, domain: str = "email") -> None:
        self.warm = warm
        self.root = root
        self.domain = domain
        self.base: dict[str, int] = {}
        self.sequence = 0
        self.attempt = 0
        self.waiting: list[str] = []
        self.runs = count(1)
        number = uuid.uuid4().hex[:8]
        self.buckets = {p: f"{p}-{number}" for p in ("control", "bronze", "lake", "rejected")}
        hadoop = warm.sparkContext._jsc.hadoopConfiguration()
        for bucket in self.buckets.values():
            (root / bucket).mkdir(parents=True)
            hadoop.set(f"fs.viewfs.mounttable.{bucket}.linkFallback", (root / bucket).as_uri())
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(root))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.root, ignore_errors=True)

    # -- landing -----------------------------------------------------------------------------------

    def land(
        self,
        source: str,
        payloads: Iterable[Any],
        observed_at: str | datetime = NOW,
        run: str | None = None,
    ) -> str:
        """Lands payloads (values to be dumped, or raw text) as one run."""
        when = observed_at if isinstance(observed_at, str) else _iso(observed_at)
        lines = [
            {
                "observed_at": when,
                "meta": {"status": 200},
                "payload": p if isinstance(p, str) else json.dumps(p, ensure_ascii=False),
            }
            for p in payloads
        ]
        return self.land_lines(source, lines, run)

    def land_lines(self, source: str, lines: Sequence[Any], run: str | None = None) -> str:
        """Lands whole lines; a text is written as it is."""
        run = run or f"run-{next(self.runs):04d}"
        name = f"{self.domain}/{source}/dt=2026-11-21/run={run}/attempt=1/part-00000.ndjson.gz"
        text = "".join(
            (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n"
            for line in lines
        )
        path = self.path("bronze", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
        # An attempt that no manifest lists: litter that must never count.
        litter = path.parent.parent / "attempt=0" / "part-00000.ndjson.gz"
        litter.parent.mkdir(parents=True, exist_ok=True)
        litter.write_bytes(gzip.compress(text[: len(text) // 2].encode()))
        manifest = {
            "format": 1,
            "domain": self.domain,
            "source": source,
            "run": run,
            "attempt": "1",
            "window": None,
            "files": [{"name": name, "bytes": path.stat().st_size}],
        }
        key = f"runs/{self.domain}/{source}/{run}.json"
        self.put(key, manifest)
        self.waiting.append(key)
        return run

    def events(self, events: Sequence[Any], **how: Any) -> str:
        return self.land("email_events", [{"events": list(events), "hasMore": False}], **how)

    # -- batches -----------------------------------------------------------------------------------

    def batch(
        self,
        runs: Sequence[str] | None = None,
        recompute: Sequence[dict[str, Any]] = (),
        load: bool = True,
    ) -> dict[str, Any]:
        """Claims what waits, runs the job, loads (the base moves). Returns the manifest."""
        self.claim(runs, recompute)
        code = self.run()
        assert code == 0, self.failure()
        manifest = self.manifest()
        if load:
            self.base = manifest["versions"]
        return manifest

    def claim(
        self, runs: Sequence[str] | None = None, recompute: Sequence[dict[str, Any]] = ()
    ) -> None:
        """The next sequence with these runs in flight."""
        self.sequence += 1
        self.attempt = 1
        self.claimed = self.waiting if runs is None else list(runs)
        self.waiting = [run for run in self.waiting if run not in self.claimed]
        self.requests = []
        for number, request in enumerate(recompute):
            name = f"recompute/{self.domain}/{request['table']}/{self.sequence}-{number}.json"
            self.put(name, request)
            self.requests.append(name)
        self._write_claim()

    def again(self, runs: Sequence[str] | None = None) -> None:
        """The same sequence, next attempt."""
        self.attempt += 1
        if runs is not None:
            self.waiting += [run for run in self.claimed if run not in runs]
            self.claimed = list(runs)
        self._write_claim()

    def _write_claim(self) -> None:
        claim = {
            "format": 1,
            "domain": self.domain,
            "sequence": self.sequence,
            "attempt": self.attempt,
            "runs": self.claimed,
            "recompute": self.requests,
            "base": self.base,
            "claimed_at": _iso(NOW),
        }
        self.put(self.claim_name, claim)
        flight = {"sequence": self.sequence, "attempt": self.attempt}
        self.put(f"ledgers/{self.domain}.json", {"in_flight": flight})

    @property
    def batch_name(self) -> str:
        return f"{self.domain}-{self.sequence}-{self.attempt}"

    @property
    def claim_name(self) -> str:
        return f"claims/{self.domain}/{self.batch_name}.json"

    def arguments(self) -> list[str]:
        given = {
            "--domain": self.domain,
            "--claim": self.claim_name,
            "--control-bucket": self.buckets["control"],
            "--bronze-bucket": self.buckets["bronze"],
            "--lake-bucket": self.buckets["lake"],
            "--rejected-bucket": self.buckets["rejected"],
            "--project": "tests",
            "--hash-key-secret": "hash-key",
            "--code-version": "test",
            "--storage-endpoint": self.endpoint,
            "--secrets-endpoint": self.endpoint,
        }
        return [text for pair in given.items() for text in pair]

    def run(self) -> int:
        return transform.main(self.arguments(), spark=self.warm.newSession())

    def manifest(self) -> dict[str, Any]:
        return json.loads(
            self.path("control", f"batches/{self.domain}/{self.sequence:010d}.json").read_text()
        )

    def failure(self) -> Any:
        path = self.path("control", f"failures/{self.domain}/{self.batch_name}.json")
        return json.loads(path.read_text()) if path.exists() else None

    # -- what is there -----------------------------------------------------------------------------

    def table(self, name: str) -> DataFrame:
        """A gold table as it stands."""
        session = self._session()
        lake = Lake(session, self.buckets["lake"])
        path = state_path(self.domain)
        state = read_state(lake, self.domain, self.base.get(path, lake.version(path)))
        parts = state.get(f"{self.domain}.{name}", {}).values()
        files = [lake.uri(file) for part in parts for file in part.files]
        struct = read_domain(self.domain).tables[f"{self.domain}.{name}"].struct
        return lake.rows_of(files, struct, struct)

    def silver(self, name: str) -> DataFrame:
        return self._delta(f"silver/{self.domain}/{name}")

    def rows(
        self, name: str, where: str = "true", order: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Rows of a gold table as JSON values, without `updated_at`."""
        frame = self.table(name).where(where).drop("updated_at", "_partition")
        rows = [plain(row.asDict()) for row in frame.collect()]
        return sorted(rows, key=lambda row: [str(row[c]) for c in (order or sorted(row))])

    def loaded(self, manifest: dict[str, Any], table: str) -> DataFrame | None:
        """The files that the manifest lists for a table, as the load reads them."""
        for output in manifest["tables"]:
            if output["table"] == f"{self.domain}.{table}":
                return self.warm.newSession().read.parquet(*output["files"])
        return None

    def path(self, bucket: str, name: str) -> Path:
        return self.root / self.buckets[bucket] / name

    def put(self, name: str, value: Any) -> None:
        path = self.path("control", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))

    def _delta(self, path: str) -> DataFrame:
        return self._session().read.format("delta").load(f"gs://{self.buckets['lake']}/{path}")

    def _session(self) -> SparkSession:
        session = self.warm.newSession()
        session.conf.set("spark.sql.session.timeZone", "UTC")
        return session


def plain(value: Any) -> Any:
    """A value as JSON shows it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return _iso(value.replace(tzinfo=value.tzinfo or timezone.utc))
    if isinstance(value, date):
        return value.isoformat()
    return value


def _iso(moment: datetime) -> str:
    text = moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text[:-3]}Z"


def ms(text: str) -> int:
    """Epoch milliseconds of an ISO instant, UTC."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)


def _handler(root: Path) -> Callable[..., BaseHTTPRequestHandler]:
    class Storage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name http.server calls
            url = urllib.parse.urlsplit(self.path)
            if url.path.startswith("/v1/projects/tests/secrets/hash-key/"):
                data = base64.b64encode(KEY).decode()
                return self._answer(200, json.dumps({"payload": {"data": data}}).encode())
            parts = url.path.split("/")
            if (root / "down").exists() and parts[6].startswith((root / "down").read_text()):
                return self._answer(503, b"{}")
            file = root / parts[4] / urllib.parse.unquote(parts[6])
            if not file.is_file():
                return self._answer(404, b"{}")
            return self._answer(200, file.read_bytes())

        def do_POST(self) -> None:  # noqa: N802
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            file = root / url.path.split("/")[5] / query["name"]
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                with file.open("xb") as opened:
                    opened.write(body)
            except FileExistsError:
                return self._answer(412, b"{}")
            return self._answer(200, b"{}")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Storage
