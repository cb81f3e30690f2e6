"""Checks CSV against its rules (RFC 4180) before polars parses it, in blocks of whole records.

polars fills a short line with nulls, reads a blank line as a row of nulls and takes a stray quote for text. Here a
record has as many fields as the header, a blank line is not a record, and quotes enclose whole fields; anything else is
an error that names the line. Blocks are scanned with numpy, so that the check costs about as much as parsing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.errors import TableError

BLOCK_BYTES = 4 << 20
MAX_RECORD_BYTES = 64 << 20
"""A longer record is taken for a quote that was never closed."""

QUOTE, NEWLINE, RETURN = b'"\n\r'


class Block(NamedTuple):
    """`records` whole records without blank lines, each ended by a newline; `quoted`: they contain a quote."""

    content: bytes
    records: int
    quoted: bool


class _Scan(NamedTuple):
    """Positions in a buffer, all int64: of record ends, of field separators, and of quotes."""

    ends: NDArray[np.int64]
    separators: NDArray[np.int64]
    quotes: NDArray[np.int64]


def split_records(
    stream: IO[bytes], path: Path, separator: bytes, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """Blocks of the records in `stream`, from its start, blank lines left out. The first record is the header.

    Raises:
        TableError: a record has more or fewer fields than the first one, a quote is stray or never closed, or the
            text is not UTF-8. The message names `path` and the line.
        OSError, EOFError: the stream can't be read.
    """
    chunk = _check_start(stream.read(block_bytes), path)
    pending, line, fields = b"", 1, 0
    while True:
        buffer = pending + chunk
        if not chunk and buffer and not buffer.endswith(b"\n"):
            buffer += b"\n"
        scan = _scan(buffer, separator)
        _check_quotes(buffer, scan, separator, path, line, final=not chunk)
        end = int(scan.ends[-1]) + 1 if scan.ends.size else 0
        if end:
            content, records, counts = _drop_blank_lines(buffer[:end], scan)
            fields = fields or (int(counts[0]) if counts.size else 0)
            _check_fields(buffer, records, counts, fields, path, line)
            _check_encoding(content, buffer[:end], path, line)
            if counts.size:
                yield Block(content, counts.size, scan.quotes.size > 0)
        line += buffer.count(b"\n", 0, end)
        pending = buffer[end:]
        if not chunk:
            return
        if len(pending) > MAX_RECORD_BYTES:
            raise TableError(
                f"{path}, line {line}: a record of more than {MAX_RECORD_BYTES >> 20} MB; is a closing quote missing?"
            )
        chunk = stream.read(block_bytes)


def _check_start(chunk: bytes, path: Path) -> bytes:
    """The first bytes of a file without their byte order mark."""
    if chunk.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        raise TableError(f"{path}: is compressed; end its name in .csv.gz or .csv.zst")
    if chunk.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in chunk[:4096]:
        raise TableError(f"{path}: looks like UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8")
    if b"\r" in chunk[:-1] and b"\n" not in chunk:
        raise TableError(f"{path}: has carriage returns for line ends; convert them to newlines: tr '\\r' '\\n'")
    return chunk.removeprefix(b"\xef\xbb\xbf")


def _scan(buffer: bytes, separator: bytes) -> _Scan:
    content = np.frombuffer(buffer, dtype=np.uint8)
    ends, separators = content == NEWLINE, content == separator[0]
    quotes = content == QUOTE
    if quotes.any():
        outside = ~np.logical_xor.accumulate(quotes)
        ends &= outside
        separators &= outside
    return _Scan(np.flatnonzero(ends), np.flatnonzero(separators), np.flatnonzero(quotes))


def _check_quotes(buffer: bytes, scan: _Scan, separator: bytes, path: Path, line: int, *, final: bool) -> None:
    """Every quote opens or closes a field, or is one of two in a row inside a quoted field."""
    if not scan.quotes.size:
        return
    content = np.frombuffer(buffer, dtype=np.uint8)
    opening, closing = scan.quotes[::2], scan.quotes[1::2]
    before = content[opening[opening > 0] - 1]
    after = content[closing[closing < len(buffer) - 1] + 1]
    starts = np.concatenate(
        [np.ones(len(opening) - len(before), bool), np.isin(before, [separator[0], NEWLINE, QUOTE])]
    )
    stops = np.isin(after, [separator[0], NEWLINE, RETURN, QUOTE])
    wrong = [*opening[~starts][:1], *closing[: len(stops)][~stops][:1]]
    if wrong:
        first = int(min(wrong))
        number = line + buffer.count(b"\n", 0, first)
        one_field = line == 1 and separator not in buffer.split(b"\n", 1)[0]  # in the header
        beside = {chr(buffer[place]) for place in (first - 1, first + 1) if 0 <= place < len(buffer)}
        others = sorted(beside & {*";\t|,"}) if one_field else []
        cause = "fields seem to have another separator" if others else "a quote inside a field"
        remedy = f"give SEPARATOR={others[0]!r}" if others else 'quote the whole field, and write " as ""'
        raise TableError(f"{path}, line {number}: {cause}; {remedy}")
    if final and scan.quotes.size % 2:
        number = line + buffer.count(b"\n", 0, int(opening[-1]))
        raise TableError(f"{path}, line {number}: a quoted field that is never closed")


def _drop_blank_lines(buffer: bytes, scan: _Scan) -> tuple[bytes, NDArray[np.int64], NDArray[np.int64]]:
    """The buffer without blank lines, where each remaining record starts in `buffer`, and its number of fields."""
    starts = np.concatenate([[0], scan.ends[:-1] + 1])
    counts = np.diff(np.searchsorted(scan.separators, scan.ends), prepend=0) + 1
    content = np.frombuffer(buffer, dtype=np.uint8)
    lengths = scan.ends - starts
    blank = (lengths == 0) | ((lengths == 1) & (content[starts] == RETURN))
    if not blank.any():
        return buffer, starts, counts
    kept = np.ones(len(buffer), dtype=bool)
    kept[scan.ends[blank]] = kept[starts[blank]] = False
    return content[kept].tobytes(), starts[~blank], counts[~blank]


def _check_fields(
    buffer: bytes, starts: NDArray[np.int64], counts: NDArray[np.int64], fields: int, path: Path, line: int
) -> None:
    wrong = np.flatnonzero(counts != fields)
    if wrong.size:
        first = int(wrong[0])
        number = line + buffer.count(b"\n", 0, int(starts[first]))
        count = "1 field" if counts[first] == 1 else f"{counts[first]} fields"
        cause = "the line was cut, or a separator inside a field is not quoted"
        if fields == 1:
            cause = "is the separator another one? then give SEPARATOR=';'"
        raise TableError(f"{path}, line {number}: {count}, but the header has {fields}; {cause}")


def _check_encoding(content: bytes, buffer: bytes, path: Path, line: int) -> None:
    if content.isascii():
        return
    try:
        content.decode()
    except UnicodeDecodeError:
        try:
            buffer.decode()
        except UnicodeDecodeError as error:
            number = line + buffer.count(b"\n", 0, error.start)
            raise TableError(
                f"{path}, line {number}: byte 0x{buffer[error.start]:02X} is not UTF-8; convert the file, for example "
                "from Windows-1252: iconv -f WINDOWS-1252 -t UTF-8"
            ) from error
