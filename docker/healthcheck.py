# ruff: noqa: INP001  # run by path
"""Exit status 0 if the service in this container is ready. A bare socket, as this runs every few seconds."""

import os
import socket
import sys

with socket.create_connection(("127.0.0.1", int(os.environ["SERVE_PORT"])), timeout=2) as connection:
    connection.sendall(b"GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n")
    status = connection.recv(4096).split(maxsplit=2)[1:2]
sys.exit(status != [b"200"])
