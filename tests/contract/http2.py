"""As much of an HTTP/2 client as it takes to misuse one: frames by hand, and an answer to every PING."""

import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
ACK, END_STREAM, END_HEADERS = 1, 1, 4
INITIAL_WINDOW = 4
"""The setting that says how much of an answer the client takes at first."""


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(**values: int) -> bytes:
    names = {"initial_window": INITIAL_WINDOW}
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", names[name], value) for name, value in values.items()))


def call_head(path: str, stream: int = 1) -> bytes:
    """The headers of a gRPC call, none of which goes into a table."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x",
              "content-type": "application/grpc", "te": "trailers"}  # fmt: skip
    block = b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
    return frame(HEADERS, END_HEADERS, stream, block)


def message(content: bytes, stream: int = 1) -> bytes:
    """A gRPC message in frames of at most 16 KiB."""
    sent = b"\x00" + struct.pack(">I", len(content)) + content
    parts = [sent[start : start + 16384] for start in range(0, len(sent), 16384)]
    return b"".join(frame(DATA, 0, stream, part) for part in parts)


def received_until_closed(sock: socket.socket, seconds: float) -> list[tuple[int, int, bytes]]:
    """Kind, flags and payload of all frames up to the end of the connection; each PING is answered.

    Raises:
        AssertionError: the connection is still there after so long.
    """
    deadline, received, frames = time.monotonic() + seconds, b"", []
    while time.monotonic() < deadline:
        sock.settimeout(max(deadline - time.monotonic(), 0.01))
        try:
            part = sock.recv(1 << 16)
        except TimeoutError:
            break
        except ConnectionError:
            return frames
        if not part:
            return frames
        received += part
        while len(received) >= 9 and len(received) >= 9 + int.from_bytes(received[:3], "big"):
            length, kind, flags = int.from_bytes(received[:3], "big"), received[3], received[4]
            frames.append((kind, flags, received[9 : 9 + length]))
            received = received[9 + length :]
            if kind == PING and not flags & ACK:
                sock.sendall(frame(PING, ACK, payload=frames[-1][2]))
    raise AssertionError(f"kept for {seconds:g} s: {frames}")
