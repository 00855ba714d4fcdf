"""Copies a table with connectorx into gzipped CSV, arrow in between. Arguments: query, file.

The connection URL comes by the environment. Prints processor seconds and peak memory of this
process as one JSON object.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import sys

import connectorx
import pyarrow.csv

query, file = sys.argv[1:]
table = connectorx.read_sql(os.environ["DATABASE_URL"], query, return_type="arrow")
with gzip.open(file, "wb", compresslevel=1) as out:
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
