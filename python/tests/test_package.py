"""What is built and installed, in a fresh environment."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

USE = """
import sys
from core.event_store import EventStore, IntegrityError
with EventStore(dsn=sys.argv[1]) as store:
    try:
        store.append_event("llm_call_completed", aggregate_id=2_000_000_000)
    except IntegrityError as error:
        print(type(error).__name__, store.get_posting_state(2_000_000_000))
"""


def files(folder: Path, *under: str) -> set[str]:
    found = (path for place in under for path in (folder / place).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in found if "__pycache__" not in path.parts}


def test_wheel_and_sdist_hold_the_package_and_work_in_a_fresh_environment(
    tmp_path: Path, url: str
) -> None:
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel], [sdist] = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    sources = {name.replace("src/", "") for name in files(ROOT, "src")}
    in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert in_wheel == sources and "turing_events/py.typed" in in_wheel
    with tarfile.open(sdist) as archive:
        in_sdist = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert files(ROOT, "src", "core") < in_sdist
    for name in ("LICENSE-APACHE", "LICENSE-MIT"):
        # the package is built without what is around it
        assert (ROOT / name).read_bytes() == (ROOT.parent / name).read_bytes()
        assert name in in_sdist
        assert any(
            path.endswith(f".dist-info/licenses/{name}")
            for path in zipfile.ZipFile(wheel).namelist()
        )

    fresh = tmp_path / "fresh"
    venv.create(fresh, with_pip=True)
    python = str(fresh / "bin" / "python")
    # the binary form of the driver, because the machine may have no libpq
    install = [python, "-m", "pip", "install", "--quiet", f"{ROOT}[psycopg]", "psycopg[binary]"]
    subprocess.run(install, check=True)
    used = subprocess.run(
        [python, "-W", "error", "-c", USE, url],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert used.stdout == "UnknownPosting None\n"
