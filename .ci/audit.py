"""Ask for known vulnerabilities of the libraries that serve: `make audit`. Exits with 1 if there is one.

Where the vulnerability service is out of reach, or knows nothing of a library, it says so and passes, so that a machine without
internet can test too.
"""

import json
import subprocess
import sys

COMMAND = [
    "-r",
    "requirements-serve.txt",
    "--no-deps",
    "--disable-pip",
    "--progress-spinner",
    "off",
    "--format",
    "json",
]


def main() -> int:
    """Run pip-audit and judge its report."""
    asked = subprocess.run([sys.executable, "-m", "pip_audit", *COMMAND], capture_output=True, text=True)
    try:
        libraries = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"Known vulnerabilities could not be asked for: {reason}")
        return 0
    unknown = [library["name"] for library in libraries if "skip_reason" in library]
    vulnerable = [library for library in libraries if library.get("vulns")]
    for library in vulnerable:
        for flaw in library["vulns"]:
            print(
                f"{library['name']} {library['version']}: {flaw['id']}, mended in {flaw['fix_versions'] or 'no version yet'}"
            )
    print(
        f"{len(libraries) - len(unknown)} libraries asked for, {len(vulnerable)} vulnerable; not known to the service: {unknown or 'none'}"
    )
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
