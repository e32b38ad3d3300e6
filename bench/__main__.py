"""Run the benchmarks, then print and write the table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.report import report

BUILD = Path("build")


def main(arguments: list[str]) -> int:
    BUILD.mkdir(exist_ok=True)
    figures = BUILD / "bench.json"
    figures.unlink(missing_ok=True)
    options = ["bench", "-q", "-p", "no:cacheprovider", "--benchmark-quiet", f"--benchmark-json={figures}"]
    code = pytest.main([*options, *arguments])
    if figures.exists():
        text, missed = report(figures)
        (BUILD / "bench.md").write_text(text, encoding="utf-8")
        print(text)
        code = code or int(bool(missed))
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
