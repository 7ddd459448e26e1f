"""Ask for known vulnerabilities of every library that is installed here: `make audit`.

Exits with 1 if one that `make run` installs has any, or if they could not be asked for; those of tools for development are named. Where
the vulnerability service is out of reach it says so and exits with 0, so that a machine without internet can test too.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

COMMAND = ["-m", "pip_audit", "--progress-spinner", "off", "--format", "json"]
RUNS = ("requirements-serve.txt", "requirements.txt")
OUT_OF_REACH = re.compile(r"requests\.exceptions\.|vulnerability feed|not redirecting")  # in what pip-audit says then


def needed(files: tuple[str, ...]) -> set[str]:
    """The libraries that requirement files name, with all that these need here in turn."""
    lines = [line for file in files for line in Path(file).read_text(encoding="utf-8").splitlines()]
    waiting = [Requirement(line) for line in lines if line[:1].isalpha()]
    found: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        library = waiting.pop()
        key = (canonicalize_name(library.name), frozenset(library.extras))
        if key in found:
            continue
        found.add(key)
        for text in importlib.metadata.requires(library.name) or []:
            of_it = Requirement(text)
            if not of_it.marker or any(of_it.marker.evaluate({"extra": extra}) for extra in ("", *library.extras)):
                waiting.append(of_it)
    return {name for name, _ in found}


def main() -> int:
    """Run pip-audit and judge its report."""
    asked = subprocess.run([sys.executable, *COMMAND], capture_output=True, text=True)
    try:
        libraries = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = asked.stderr.strip().splitlines()
        reasons = [line for line in said if OUT_OF_REACH.search(line)]
        if reasons:
            print(f"NOT AUDITED: the vulnerability service cannot be reached. {reasons[-1]}")
            return 0
        print("pip-audit failed:", *said, sep="\n")
        return 1
    unknown = [library["name"] for library in libraries if "skip_reason" in library]
    if len(unknown) == len(libraries):
        print(f"NOT AUDITED: who answers for the vulnerability service knows none of the {len(libraries)} libraries.")
        return 0
    running, failed = needed(RUNS), False
    for library in libraries:
        where = "installed by make run" if canonicalize_name(library["name"]) in running else "for development only"
        for flaw in library.get("vulns", []):
            mended = ", ".join(flaw["fix_versions"]) or "no version yet"
            print(f"VULNERABLE, {where}: {library['name']} {library['version']}, {flaw['id']}, mended in {mended}")
            failed = failed or where != "for development only"
    print(
        f"{len(libraries) - len(unknown)} libraries audited; not known to the service: {', '.join(unknown) or 'none'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
