"""The soak's own parts: its script leaves the guests as they were, and its gauges tell what grows."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from soak.gauges import LEAST, Gauge, Gauges
from soak.looking import LOOKING
from soak.script import ROUND, script

from fast_time import in_fast_time
from scripted import LONG, Scripted

ROUNDS = 5


@in_fast_time
async def test_after_a_round_all_is_as_it_was(tmp_path: Path) -> None:
    quiet = await Scripted(tmp_path, "").stats()
    running = {record.domain.name: record["vcpu.current"] for record in quiet if record["state"] == "running"}
    host = Scripted(tmp_path, script(ROUNDS * ROUND, running))
    keys = {record.domain.uuid: set(record) for record in await host.stats()}
    for number in range(ROUNDS):
        await asyncio.sleep((number + 1) * ROUND - 1 - asyncio.get_running_loop().time())
        assert await host.occupied() == []
        assert {record.domain.uuid: set(record) for record in await host.stats(deadline=LONG)} == keys


@pytest.mark.parametrize(
    ("samples", "flat"),
    [
        ([100.0] * 200, True),
        ([100.0, 300.0, 101.0, 100.0] * 50, True),
        ([float(number) for number in range(50)] + [50.0] * 150, True),
        ([100 + number / 10 for number in range(200)], False),
        ([100 + number / 10 + 50 * (number % 2) for number in range(200)], False),
        ([100 - number / 10 for number in range(200)], True),
        ([100 + number / 10 - 50 * (number % 10 == 0) * (number > 120) for number in range(200)], False),
    ],
)
def test_what_grows_is_told(samples: list[float], flat: bool) -> None:
    assert len(samples) >= LEAST
    assert Gauge("memory", "MiB", 8.0, samples).is_flat == flat


def test_a_process_is_looked_at_until_it_has_ended(tmp_path: Path) -> None:
    file = tmp_path / "looks"
    command = (sys.executable, "-c", "import time; print(flush=True); time.sleep(60)")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with subprocess.Popen([sys.executable, "-m", "soak.looking", str(process.pid), str(file)]) as looker:
            until = time.monotonic() + 10
            while not file.exists() or file.read_text().count("\n") < 3:
                assert time.monotonic() < until
                time.sleep(LOOKING)
            process.kill()  # nobody has asked how it ended: its folder in /proc is still there
            assert looker.wait(timeout=10) == 0
    gauges = Gauges(process.pid)
    gauges.take(file)
    assert set(gauges.threads.samples) == {1}
    assert set(gauges.descriptors.samples) == {3}
    assert all(1 < each < 100 for each in gauges.memory.samples)
