"""Builds the wheel and tries it from an environment that has never seen the checkout."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = len(list((ROOT / "specs" / "openapi").glob("*/*.v[0-9]*.yaml")))
READY_SECONDS = 30


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        wheel = _build(place)
        python = _install(place, wheel)
        _check_contracts(python, place)
        _check_serving(python, place)
    print(f"the installed {wheel.name} serves its own contracts")
    return 0


def _run(*words: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _build(place: Path) -> Path:
    _run(
        sys.executable,
        *("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", place / "dist", ROOT),
    )
    wheels = list((place / "dist").glob("portico-*.whl"))
    if len(wheels) != 1:
        raise SystemExit(f"expected one wheel, found {wheels}")
    return wheels[0]


def _install(place: Path, wheel: Path) -> Path:
    _run(sys.executable, "-m", "venv", place / "venv")
    python = place / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run(*pip, "--require-hashes", "-r", ROOT / "requirements.lock")
    _run(*pip, "--no-deps", wheel)
    return python


def _check_contracts(python: Path, place: Path) -> None:
    listed = _run(python.parent / "portico", "lint", cwd=place)
    if not listed.startswith(f"{CONTRACTS} contracts"):
        raise SystemExit(f"the wheel should have {CONTRACTS} contracts, it says: {listed}")


def _check_serving(python: Path, place: Path) -> None:
    config = place / "portico.yaml"
    config.write_text(
        "access_log: 'off'\nembedded: {tryton: false}\n"
        "apis: {system/tryton.v1: {url: 'http://127.0.0.1:9'}}\n"
    )
    with subprocess.Popen(
        [python.parent / "portico", "serve", "--port", "0"],
        cwd=place,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            url = line.split(" at ")[-1].split(" ")[0].strip()
            for path in ("/livez", "/readyz", "/portal/", "/.well-known/jwks.json"):
                with urllib.request.urlopen(url + path, timeout=READY_SECONDS) as answer:
                    if answer.status != 200:
                        raise SystemExit(f"{path} answered {answer.status}")
        finally:
            server.terminate()
            server.wait(timeout=READY_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
