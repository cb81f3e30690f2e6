"""Compressed files as streams of their content: .gz and .zst, of one frame or several; truncated ones are refused."""

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import zstandard

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SUFFIXES = (".gz", ".zst")

_PIECE_BYTES = 1 << 14
_BUFFER_BYTES = 1 << 20


def decompress(stream: IO[bytes], path: Path) -> IO[bytes]:
    """The content of `stream`; the suffix of `path`, in any case, says whether it is compressed, and how.

    Reading it raises OSError, EOFError or zstandard.ZstdError if the file is damaged or truncated.
    """
    match path.suffix.lower():
        case ".gz":
            return cast("IO[bytes]", gzip.open(stream))
        case ".zst":
            return io.BufferedReader(_Pieces(_zstd_pieces(stream)), _BUFFER_BYTES)
        case _:
            return stream


def _zstd_pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """Decompress frame by frame: Zstandard's own reader takes a truncated file for a complete one."""
    decompressor, frame = zstandard.ZstdDecompressor(), None
    while data := stream.read(_PIECE_BYTES):
        while data:
            frame = frame or decompressor.decompressobj()
            yield frame.decompress(data)
            data, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    if frame is not None:
        raise EOFError("the compressed file was cut: its end is missing")


class _Pieces(io.RawIOBase):
    """Pieces of bytes as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._held = memoryview(b"")

    def readable(self) -> bool:
        """Say that the stream can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill the buffer from one piece, as far as it goes; returns the number of bytes, 0 after the last piece."""
        target = memoryview(buffer)
        while not self._held and (piece := next(self._pieces, None)) is not None:
            self._held = memoryview(piece)
        count = min(len(target), len(self._held))
        target[:count], self._held = self._held[:count], self._held[count:]
        return count
