"""A service of the HTTP contract without a model: P(positive) = number / 1000. Run as a script, by behaviour:

honest, lying (swaps the classes of every fifth row), failing (answers every fifth request with 500), garbled (answers
without probabilities), dying (ends at start), leaving (ends at the first prediction), stubborn (has a child, and
ignores SIGTERM), other (says that it serves another model).
"""

import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

BEHAVIOUR = sys.argv[1]
requests = count()


def predict(row: dict[str, float]) -> dict[str, object]:
    positive = row["number"] / 1000
    label = int(positive >= 0.5)
    if BEHAVIOUR == "lying" and row["number"] % 5 == 0:
        label = 1 - label
    if BEHAVIOUR == "garbled":
        return {"prediction": label}
    return {
        "prediction": label,
        "probabilities": [1 - positive, positive],
        "predicted_taste": ("sour", "sweet")[label],
    }


class StubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/metadata" and BEHAVIOUR != "other":
            self.answer(404, {"detail": "Not Found"})
            return
        self.answer(200, {"status": "ready", "name": "churn", "version": "0123456789ab"})

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if BEHAVIOUR == "leaving":
            os._exit(3)
        if BEHAVIOUR == "failing" and next(requests) % 5 == 0:
            self.answer(500, {"detail": "broken"})
        elif isinstance(content, list):
            self.answer(200, {"predictions": [predict(row) for row in content], "batch_size": len(content)})
        else:
            self.answer(200, predict(content))

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    if BEHAVIOUR == "dying":
        sys.exit("no model could be loaded: line one\nline two")
    if BEHAVIOUR == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    ThreadingHTTPServer((os.environ["SERVE_HOST"], int(os.environ["SERVE_PORT"])), StubHandler).serve_forever()
