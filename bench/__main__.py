"""Run the benchmarks, then print and write the table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.report import report

BUILD = Path("build")


def main(arguments: list[str]) -> int:
    """The exit code; `arguments` are pytest's: files (all of bench without one), -k, ..."""
    BUILD.mkdir(exist_ok=True)
    figures = BUILD / "bench.json"
    figures.unlink(missing_ok=True)
    options = ["-q", "-p", "no:cacheprovider", "--benchmark-quiet", f"--benchmark-json={figures}"]
    # That nothing was measured is no error of its own: it would hide why, such as a file that is not there.
    options += ["-W", "ignore::pytest_benchmark.logger.PytestBenchmarkWarning"]
    chosen = any(Path(argument.partition("::")[0]).exists() for argument in arguments)
    code = pytest.main([*options, *arguments, *([] if chosen else ["bench"])])
    if figures.exists():
        text, missed = report(figures)
        (BUILD / "bench.md").write_text(text, encoding="utf-8")
        print(text)
        code = code or int(bool(missed))
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
