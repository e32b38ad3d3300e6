"""What blocks or fails is a finding, and spoils nothing else."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest

from domstats.doctor.findings import Finding, Part, Verdict
from domstats.doctor.within import in_thread, tried
from domstats.errors import DeadlineExceeded, NoSupport

PATIENCE = 30.0
BLOCKED = """
import asyncio, threading
from domstats.doctor.within import in_thread

async def main():
    try:
        await in_thread(threading.Event().wait, 0.01)
    except TimeoutError:
        print("late")

asyncio.run(main())
"""


async def test_a_result() -> None:
    assert await in_thread(lambda: 6 * 7, PATIENCE) == 42


@pytest.mark.parametrize("error", [OSError("gone"), ZeroDivisionError("bug")])
async def test_an_error_is_raised_where_the_result_is_waited_for(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await in_thread(fail, PATIENCE)
    assert raised.value is error


async def test_what_blocks_is_left_behind() -> None:
    goes_on, ended = threading.Event(), threading.Event()

    def work() -> None:
        goes_on.wait()
        ended.set()

    with pytest.raises(TimeoutError):
        await in_thread(work, 0.01)
    goes_on.set()
    assert await asyncio.to_thread(ended.wait, PATIENCE), "it ends in its own time, and disturbs nobody"


def test_what_blocks_does_not_keep_the_process_from_ending() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert (done.stdout, done.stderr) == ("late\n", "")


async def test_what_is_found_is_passed_on() -> None:
    finding = Finding(Part.KERNEL, "kvm", Verdict.OK, "there")

    async def check() -> Sequence[Finding]:
        return [finding]

    assert await tried(Part.KERNEL, "kvm", check(), PATIENCE) == [finding]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(13, "Permission denied"), "could not be tried: [Errno 13] Permission denied"),
        (ValueError("bytes"), "could not be tried: bytes"),
        (NoSupport(3, 10, "no such call"), "could not be tried: libvirt: no such call (error 3)"),
        (TimeoutError(), "could not be tried: no answer within 30 s"),
        (DeadlineExceeded("X", 2.0), "could not be tried: no answer within 30 s"),
    ],
)
async def test_what_fails_is_a_finding(error: Exception, said: str) -> None:
    async def check() -> Sequence[Finding]:
        raise error

    assert await tried(Part.RIGHTS, "yama", check(), PATIENCE) == [Finding(Part.RIGHTS, "yama", Verdict.WARN, said)]


async def test_what_takes_too_long_is_a_finding() -> None:
    async def check() -> Sequence[Finding]:
        await asyncio.get_running_loop().create_future()
        return []

    (found,) = await tried(Part.KERNEL, "kvm", check(), 0.01)
    assert (found.verdict, found.text) == (Verdict.WARN, "could not be tried: no answer within 0.01 s")


async def test_a_bug_is_no_finding() -> None:
    async def check() -> Sequence[Finding]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await tried(Part.KERNEL, "kvm", check(), PATIENCE)
