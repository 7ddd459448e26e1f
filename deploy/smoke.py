"""Prove that an installation serves: `python -m deploy.smoke` where the product's files are. The Dockerfile and a test run it.

Runs each page as a script, says what confines the processes that read strangers' files, starts the server, waits for its health check,
fetches its page and its font, and classifies a drawn sample by `python -m core predict`. Ends with status 0 and a line each, or with the
error that stopped it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from streamlit.testing.v1 import AppTest

from core.images import sandbox
from core.samples.garments import sample

PAGES = [Path("Home.py"), *sorted(Path("pages").glob("*.py"))]
FONT = "/app/static/inter-latin-wght-normal.woff2"
START_SECONDS = 120


def main() -> None:
    """Every step, in order; the first that fails raises."""
    for page in PAGES:
        run_page(page)
    loaded = {"torch", "torchvision", "train"} & {name.partition(".")[0] for name in sys.modules}
    assert not loaded, f"serving loads {loaded}"
    print(f"{len(PAGES)} pages run, without torch")
    print(f"strangers' files are read by processes confined by {confinement()}")
    serve()
    print("the server is healthy and gives its page and its font")
    label = classify()
    print(f"python -m core predict names a drawn shirt {label}")


def run_page(path: Path) -> None:
    """Run a page as a script; it must neither raise nor show an error."""
    page = AppTest.from_file(str(path.resolve()), default_timeout=START_SECONDS).run()
    problems = [element.value for element in (*page.exception, *page.error)]
    assert not problems, f"{path} shows {problems}"


def confinement() -> str:
    """What the kernel confines a photo's process by; Unconfined if that is less than GARMENTS_CONFINEMENT requires."""
    return str(sandbox.level())


def serve() -> None:
    """Start the server on a free port, and stop it when it has answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "streamlit", "run", "Home.py", "--server.port", str(port)])
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}", server)
        assert b"<html" in fetch(f"http://127.0.0.1:{port}/")
        assert fetch(f"http://127.0.0.1:{port}{FONT}").startswith(b"wOF2")
    finally:
        server.terminate()
        server.wait(60)


def wait_until_healthy(address: str, server: subprocess.Popen) -> None:
    """Wait for `/_stcore/health`; TimeoutError or RuntimeError if it never comes."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with status {server.returncode}")
        try:
            fetch(f"{address}/_stcore/health")
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"{address} was not healthy after {START_SECONDS} s")


def fetch(address: str) -> bytes:
    """Body of an answer; OSError if there is none, or none of status 200."""
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read()


def classify() -> str:
    """What the command line calls a drawn shirt."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "shirt.png"
        sample("Shirts").save(photo)
        command = [sys.executable, "-m", "core", "predict", str(photo), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["error"] == "" and 0 < record["probability"] <= 1, record
    return record["label"]


if __name__ == "__main__":
    main()
