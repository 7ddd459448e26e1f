"""How long a visitor waits for the first page after `streamlit run`, and for its example's answer.

    python -m benchmarks.startup           # or with a number of starts: python -m benchmarks.startup 9

Each round starts a server of its own and connects as soon as it answers. The page is there when its words, its figures and its doors to
the other pages are; the network is loaded meanwhile, and its example is answered when the script has sent the last element. Beside the
seconds on the clock stand those of the processor, which a busy machine stretches less. The first start, which reads files from the disk
rather than from memory, is left out.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from benchmarks.report import Row, machine, show
from benchmarks.sessions import Session, running_server

STARTS = 5


def seconds_to_first_page() -> tuple[float, float, float, float]:
    """Until the server answers, until the first page is there, until its example is answered, and the processor's seconds until then."""
    start = time.perf_counter()
    with running_server() as server, Session(server.address) as session:
        used = server.process.cpu_times()
        end = time.perf_counter()
        return server.started, session.came["page_link"] - start, end - start, used.user + used.system


def main() -> None:
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else STARTS
    rows = np.array([seconds_to_first_page() for _ in range(starts + 1)][1:])
    print(machine())
    show(
        Row(name, f"{np.median(column):.2f} s ({column.min():.2f} to {column.max():.2f}, n={starts})", aim)
        for name, aim, column in zip(
            ("server answers", "first page is there", "its example is answered", "processor's time"),
            ("", "1.2 s", "1.6 s", ""),
            rows.T,
            strict=True,
        )
    )


if __name__ == "__main__":
    main()
