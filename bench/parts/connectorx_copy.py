"""Copies a table with connectorx into gzipped CSV, arrow in between: arguments are a query and a file.

The connection URL comes by the environment. Prints processor seconds and peak memory of this
process as one JSON object.
"""

from __future__ import annotations

import json
import os
import resource
import sys

import connectorx
import pyarrow
import pyarrow.csv

query, file = sys.argv[1:]
table = connectorx.read_sql(os.environ["DATABASE_URL"], query, return_type="arrow")
codec = pyarrow.Codec("gzip", compression_level=1)
with pyarrow.CompressedOutputStream(pyarrow.OSFile(file, "wb"), codec) as out:
    pyarrow.csv.write_csv(table, out)
used = resource.getrusage(resource.RUSAGE_SELF)
print(
    json.dumps(
        {
            "rows": table.num_rows,
            "cpu": used.ru_utime + used.ru_stime,
            "peak": used.ru_maxrss * 1024,
        }
    )
)
