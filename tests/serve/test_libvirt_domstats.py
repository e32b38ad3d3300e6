"""domstats as a client of its own libvirt socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

import domstats
from domstats.model.snapshot import Snapshot
from serving import PATIENCE, serving

HANGING = """
[[event]]
at = 0.5
do = "hang"
domains = ["build-1"]
"""


MAX_AGE = 1.0


def statuses(snapshot: Snapshot) -> dict[str, str]:
    return {record.domain.name: record.status.label for record in snapshot}


async def test_a_stuck_guest_is_named(tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text(HANGING, encoding="utf-8")
    async with serving(f"sim:///?domains=20&script={script}", tmp_path / "sock", max_age=MAX_AGE) as served:
        async with asyncio.timeout(PATIENCE):
            async for snapshot in served.collector:
                record = snapshot["build-1"]
                if record.status.label == "blocked" and record.ages["balloon"] > MAX_AGE + 1.0:
                    break
        async with domstats.aio.connect(served.uri) as host:
            for _ in range(3):
                seen = statuses(await host.stats())
                assert seen.pop("build-1") == "blocked"
                assert set(seen.values()) == {"fresh"}
