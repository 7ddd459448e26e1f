"""A server with a secret, a file and a confined process that has been taken over: prints what became of each as JSON.

`python -m tests.confinement.takeover MODULE FOLDER [dumpable]`
"""

import ctypes
import json
import os
import sys
from pathlib import Path

from core.confinement import pool

SECRET = b"what it knows..."


def main() -> None:
    module, folder = sys.argv[1:3]
    file = Path(folder) / "feedback.sqlite3"
    file.write_bytes(b"corrections")
    secret = ctypes.create_string_buffer(SECRET, len(SECRET))
    if "dumpable" in sys.argv:
        pool.undumpable = lambda: None
    confined = pool.Confined(f"{module}:attack", 2, 2 * 2**30, 10, 2**20)
    asked = {"attack": "everything", "server": os.getpid(), "address": ctypes.addressof(secret), "file": str(file)}
    told, _ = confined(asked | {"unfiltered": "dumpable" in sys.argv}, b"")
    left = {path.name: path.read_bytes().decode() for path in Path(folder).iterdir() if path.is_file()}
    print(json.dumps({"told": told, "secret": secret.raw.decode(), "files": left, "level": int(confined.level())}))


if __name__ == "__main__":
    main()
