"""The bench runs, so that it cannot rot; what it measures here says nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent / "bench.py"


def test_the_bench_prints_a_ratio_for_each_driver_and_call(url: str) -> None:
    environment = {**os.environ, "ROUNDS": "2", "CALLS": "2"}
    command = [sys.executable, str(BENCH), url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    for driver in ("psycopg", "psycopg2"):
        assert printed.stdout.count(f"{driver}: ") == 5
