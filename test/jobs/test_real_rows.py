"""Real rows of a HubSpot account, where they are at hand: a sample of events in a warehouse layout.

They lie beside the project, not in it; without them this file is skipped.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
from pipeline import Pipeline, ms

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = (
    Path(os.environ.get("TRIBUTARY_MATERIAL", ROOT.parent / "shared" / "material"))
    / "hubspot"
    / "email_event.csv"
)

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"real rows are not at {FILE.name}")


def events() -> list[dict[str, Any]]:
    """The rows as HubSpot's API (v1) sends them."""
    with FILE.open(newline="") as opened:
        return [event(row) for row in csv.DictReader(opened)]


def event(row: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": row["id"],
        "created": ms(row["created"]),
        "type": row["type"],
        "recipient": row["recipient"],
        "portalId": int(row["portal_id"]),
        "appId": int(row["app_id"]),
        "emailCampaignId": int(row["email_campaign_id"]),
    }
    for name, field in (
        ("sent_by", "sentBy"),
        ("caused_by", "causedBy"),
        ("obsoleted_by", "obsoletedBy"),
    ):
        if row[f"{name}_id"]:
            found[field] = {"id": row[f"{name}_id"], "created": ms(row[f"{name}_created"])}
    if row["filtered_event"]:
        found["filteredEvent"] = row["filtered_event"].lower() == "true"
    return found


def test_a_hundred_events_of_which_84_are_orphaned_opens(pipeline: Pipeline) -> None:
    pipeline.events(events())
    manifest = pipeline.batch()

    assert [(s["records"], s["rejected"]) for s in manifest["sources"]] == [(100, 0)]
    facts = pipeline.table("fact_email_engagement")
    assert facts.count() == 100
    by_type = {
        row["event_type"]: row["count"] for row in facts.groupBy("event_type").count().collect()
    }
    assert by_type == {"OPEN": 90, "SENT": 4, "DELIVERED": 3, "PROCESSED": 3}
    assert facts.where("event_type = 'OPEN'").select("send_id").distinct().count() == 22

    rows = pipeline.rows("campaign_performance", "sent > 0")
    assert [
        (r["sent_date"], r["campaign_id"], r["sent"], r["delivered"], r["total_opens"])
        for r in rows
    ] == [("2020-03-16", "2", 4, 3, 6)]
    orphans = pipeline.rows("campaign_performance", "orphaned_events > 0")
    assert sum(row["orphaned_opens"] for row in orphans) == 84
    assert {row["campaign_id"] for row in orphans} == {"86863875"}
    assert all(row["sent"] == 0 and row["open_rate"] is None for row in orphans)
    quality = {q["check"]: q for q in manifest["quality"]}
    assert (quality["orphaned_events"]["failed"], quality["orphaned_events"]["rows"]) == (84, 100)
    assert pipeline.table("email_send").count() == 4
