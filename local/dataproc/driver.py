"""A Spark driver that stays: it runs one batch after another in fresh sessions.

Starting Spark costs ten seconds of every short job, so the local Dataproc keeps one driver. Orders
come as JSON lines on standard input, answers go as JSON lines to file descriptor 3:

    {"settings": {...}}                                       first line -> {"ready": true}
    {"id", "main", "zips", "args", "properties", "output"}    a batch   -> {"id", "code", "message"}

When standard input closes, the one who gave the orders is gone, and so is the reason to go on.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import queue
import shutil
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

orders: queue.Queue[dict[str, Any]] = queue.Queue()


def listen() -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


def start(settings: dict[str, str]) -> SparkSession:
    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def fresh_session(spark: SparkSession, properties: dict[str, str]) -> SparkSession:
    """A session of its own, so that no batch sees another's views and settings."""
    session = spark.newSession()
    for name, value in properties.items():
        if session.conf.isModifiable(name):
            session.conf.set(name, value)
    return session


def load_main(folder: Path, order: dict[str, Any]) -> Any:
    """Imports the job from copies of its files: an import system that has seen a zip keeps it."""
    main = folder / Path(order["main"]).name
    shutil.copy(order["main"], main)
    zips = []
    for number, zipped in enumerate(order["zips"]):
        place = folder / f"{number}-{Path(zipped).name}"
        shutil.copy(zipped, place)
        zips.append(str(place))
    sys.path[:0] = [str(folder), *zips]
    importlib.invalidate_caches()
    spec = importlib.util.spec_from_file_location(main.stem, main)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[main.stem] = module
    spec.loader.exec_module(module)
    return module


def run(spark: SparkSession, order: dict[str, Any]) -> tuple[int, str]:
    """Runs one batch with its output in its own file. Returns exit code and message."""
    path = list(sys.path)
    modules = set(sys.modules)
    kept = [os.dup(1), os.dup(2)]
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(output, 1)
    os.dup2(output, 2)
    folder = Path(tempfile.mkdtemp(prefix="batch-"))
    try:
        main = load_main(folder, order)
        result = main.main(order["args"], spark=fresh_session(spark, order["properties"]))
        return int(result or 0), f"the job returned {result}"
    except SystemExit as end:
        if isinstance(end.code, int) or end.code is None:
            return int(end.code or 0), f"the job exited with {end.code}"
        print(end.code, file=sys.stderr)
        return 1, str(end.code)
    except BaseException as error:  # noqa: BLE001
        # Whatever ends a job is its result.
        traceback.print_exc()
        return 1, f"{type(error).__name__}: {error}"[:2000]
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in (*kept, output):
            os.close(descriptor)
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            place = getattr(sys.modules[name], "__file__", None) or ""
            if place.startswith(str(folder)):
                del sys.modules[name]
        shutil.rmtree(folder, ignore_errors=True)


def usable(spark: SparkSession) -> bool:
    try:
        return not spark.sparkContext._jsc.sc().isStopped()
    except (Py4JError, OSError):
        return False


def main() -> None:
    threading.Thread(target=listen, daemon=True).start()
    answers = os.fdopen(3, "w", buffering=1)
    spark = start(orders.get()["settings"])
    print(json.dumps({"ready": True}), file=answers)
    while True:
        order = orders.get()
        code, message = run(spark, order)
        if not usable(spark):
            # The batch ended with its JVM; a driver without one is of no further use.
            os._exit(70)
        spark.catalog.clearCache()
        print(
            json.dumps({"id": order["id"], "code": code, "message": message}),
            file=answers,
        )


if __name__ == "__main__":
    main()
