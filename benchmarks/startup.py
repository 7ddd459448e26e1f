"""How long a visitor waits for the first page after `streamlit run`, and for its example's answer.

    python -m benchmarks.startup           # or with a number of starts: python -m benchmarks.startup 9

Each round starts a server of its own and connects as soon as it answers. The page is there when its words, its classes and its figures with
their links are; the network is loaded meanwhile, and its example is answered when the script has sent the last element. Beside the
seconds on the clock stand those of the processor, which a busy machine stretches less. The first start, which reads files from the disk
rather than from memory, is left out. Then what the processor's time goes to, step by step, in fresh interpreters of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np

from benchmarks.report import Row, machine, show, spread
from benchmarks.sessions import ROOT, Session, running_server

STARTS = 5
STEPS = {  # code, in the order in which a start runs it
    "Streamlit": "import streamlit",
    "Home, and the run's files": "from core.ui import home, session; run = session.shipped_run(); run.metrics",
    "ONNX and ONNX Runtime": "import onnx, onnxruntime",
    "the classifier's other modules": "from core.inference.classifier import Classifier",
    "the graph, laid from the weights": (
        "from core.inference.onnx_graph import QUANTISATION, network_graph; network_graph(run, run.has(QUANTISATION))"
    ),
    "the network, graph included": "classifier = Classifier(run, shared=True)",
    "a sample": "from core.samples.garments import sample; image = sample('Tshirts', 0, (480, 640))",
    "the first answer": "classifier.predict([image])",
}
LAPS = """
import json, sys, time
laps = [time.process_time()]
for code in json.loads(sys.argv[1]):
    exec(code)
    laps.append(time.process_time())
print(json.dumps(laps))
"""


def seconds_to_first_page() -> tuple[float, float, float, float]:
    """Until the server answers, until the first page is there, until its example is answered, and the processor's seconds until then."""
    start = time.perf_counter()
    with running_server() as server, Session(server.address) as session:
        used = server.process.cpu_times()
        end = time.perf_counter()
        return server.started, session.came["page_link"] - start, end - start, used.user + used.system


def processor_seconds() -> list[float]:
    """Of the interpreter's own start, and of each step."""
    command = [sys.executable, "-c", LAPS, json.dumps([*STEPS.values()])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    laps = json.loads(done.stdout.splitlines()[-1])
    return [laps[0], *np.diff(laps)]


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
    steps = 1000 * np.array([processor_seconds() for _ in range(starts)])
    names = ("Python", *STEPS)
    show(Row(f"processor's time: {name}", spread(steps[:, i], "ms", 0)) for i, name in enumerate(names))


if __name__ == "__main__":
    main()
