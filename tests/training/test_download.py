"""Downloads against a local server that does everything wrong a source can do."""

import errno
import hashlib
import io
import socket
import zipfile
from pathlib import Path
from unittest.mock import Mock

import pytest

from training.data.sources import download, verify
from training.dataset import RemoteFile
from training.errors import DownloadError

CONTENT = b"39, State-gov, 77516\n" * 500
NAME = "rows.csv"


def remote(*sources, content=CONTENT):
    return RemoteFile(name=NAME, bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), sources=tuple(sources))


def fetch(file, folder):
    return download(file, folder, connect_seconds=0.4, total_seconds=0.8)


def zipped(content=CONTENT, member=NAME, compression=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr(member, content)
    return stream.getvalue()


def with_changed_bytes(content, *changes):
    changed = bytearray(content)
    for position, value in changes:
        changed[position] = value
    return bytes(changed)


def starts(handler, length):
    handler.send_response(200)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()


def says_nothing(web):
    return lambda _: web.over.wait(5)


def hangs_up(_):
    return lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)


def stalls_in_the_middle(web):
    def answer(handler):
        starts(handler, len(CONTENT))
        handler.wfile.write(CONTENT[:100])
        web.over.wait(5)

    return answer


def drips(web):
    def answer(handler):
        starts(handler, len(CONTENT))
        for byte in CONTENT:
            handler.wfile.write(bytes([byte]))
            if web.over.wait(0.05):
                return

    return answer


def truncates(_):
    def answer(handler):
        starts(handler, len(CONTENT))
        handler.wfile.write(CONTENT[:-1])

    return answer


def truncates_a_chunk(_):
    def answer(handler):
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"1000\r\n" + CONTENT[:10])

    return answer


def never_ends(_):
    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(CONTENT)

    return answer


def is_not_http(_):
    return lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")


def redirects_to_a_local_file(_):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", "file:///etc/hostname")
        handler.end_headers()

    return answer


FAILURES = {
    "not found": (lambda _: 404, "HTTP 404"),
    "server error": (lambda _: 500, "HTTP 500"),
    "no answer": (says_nothing, "timed out"),
    "hangs up": (hangs_up, "closed connection|reset"),
    "stalls": (stalls_in_the_middle, "timed out"),
    "drips": (drips, r"too slow: \d+ bytes by the deadline"),
    "truncated": (truncates, "truncated: 10,499 of 10,500 bytes"),
    "truncated chunk": (truncates_a_chunk, "IncompleteRead"),
    "empty": (lambda _: b"", "truncated: 0 of 10,500 bytes"),
    "other content": (lambda _: CONTENT[::-1], r"SHA-256 is [0-9a-f]{16}…, expected [0-9a-f]{16}…"),
    "too large": (lambda _: CONTENT + b"x", "larger than the expected 10,500 bytes"),
    "endless": (never_ends, "larger than the expected 10,500 bytes"),
    "not HTTP": (is_not_http, "SSH-2.0"),
    "redirect to a file": (redirects_to_a_local_file, "HTTP 302"),
}

_DATA = 30 + len(NAME)  # where the member's compressed bytes begin
_CENTRAL = zipped().index(b"PK\x01\x02")
ZIP_FAILURES = {
    "not a zip": (b"<html>down for maintenance</html>", "not a zip file"),
    "cut zip": (zipped()[:-30], "not a zip file"),
    "no such member": (zipped(member="other.csv"), f"no item named '{NAME}'"),
    "member too large": (zipped(CONTENT * 2), f"{NAME} is larger than the expected 10,500 bytes"),
    "member too short": (zipped(CONTENT[:-1]), "truncated: 10,499 of 10,500 bytes"),
    "other member content": (zipped(CONTENT[::-1]), "SHA-256 is"),
    "damaged stored bytes": (
        with_changed_bytes(zipped(compression=zipfile.ZIP_STORED), (_DATA, 0)),
        "Bad CRC-32",
    ),
    "damaged compressed bytes": (with_changed_bytes(zipped(), (_DATA, 0xFF)), "invalid block type"),
    "encrypted member": (with_changed_bytes(zipped(), (6, 1), (_CENTRAL + 8, 1)), "encrypted"),
    "unknown compression": (with_changed_bytes(zipped(), (8, 99), (_CENTRAL + 10, 99)), "compression"),
}


def test_file_is_stored_as_the_source_has_it(web, tmp_path):
    web.pages["/good"] = CONTENT
    folder = tmp_path / "not" / "there" / "yet"
    path = download(remote(f"{web.url}/good"), folder)
    assert path == folder / NAME
    assert path.read_bytes() == CONTENT
    assert list(folder.iterdir()) == [path]


def test_sources_after_a_good_one_are_not_asked(web, tmp_path):
    web.pages["/good"] = web.pages["/better"] = CONTENT
    download(remote(f"{web.url}/good", f"{web.url}/better"), tmp_path)
    assert web.asked == ["/good"]


@pytest.mark.parametrize("failure", FAILURES)
def test_next_source_is_used_after_one_that_fails(web, tmp_path, failure):
    answer, _ = FAILURES[failure]
    web.pages.update({"/bad": answer(web), "/good": CONTENT})
    path = fetch(remote(f"{web.url}/bad", f"{web.url}/good"), tmp_path)
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]
    assert web.asked == ["/bad", "/good"]


@pytest.mark.parametrize("failure", FAILURES)
def test_failure_names_the_source_and_leaves_no_file(web, tmp_path, failure):
    answer, reason = FAILURES[failure]
    web.pages["/bad"] = answer(web)
    with pytest.raises(DownloadError, match=rf"^{NAME} could not be downloaded:\n  {web.url}/bad: .*({reason})"):
        fetch(remote(f"{web.url}/bad"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_slow_source_that_is_in_time_is_used(web, tmp_path):
    def answer(handler):
        starts(handler, len(CONTENT))
        for start in range(0, len(CONTENT), 3500):
            handler.wfile.write(CONTENT[start : start + 3500])
            web.over.wait(0.05)

    web.pages["/slow"] = answer
    assert download(remote(f"{web.url}/slow"), tmp_path).read_bytes() == CONTENT


def test_every_source_is_named_with_its_reason_when_all_fail(web, tmp_path):
    web.pages.update({"/short": CONTENT[:7], "/broken": 500})
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        sources = (f"{web.url}/short", f"{web.url}/gone", f"{web.url}/broken", refused, "http://[broken/")
        with pytest.raises(DownloadError) as raised:
            fetch(remote(*sources), tmp_path)
    first, *reasons = str(raised.value).splitlines()
    assert first == f"{NAME} could not be downloaded:"
    assert all(reason.strip().startswith(f"{source}: ") for source, reason in zip(sources, reasons, strict=True))
    assert "truncated: 7 of 10,500 bytes" in reasons[0]
    assert "HTTP 404 Not Found" in reasons[1]
    assert "HTTP 500 Internal Server Error" in reasons[2]
    assert "Connection refused" in reasons[3]
    assert "Invalid IPv6" in reasons[4]
    assert list(tmp_path.iterdir()) == []


def test_redirect_to_the_file_is_followed(web, tmp_path):
    def answer(handler):
        handler.send_response(301)
        handler.send_header("Location", "/good")
        handler.end_headers()

    web.pages.update({"/moved": answer, "/good": CONTENT})
    assert fetch(remote(f"{web.url}/moved"), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("source", ["file://{path}", "ftp://127.0.0.1/rows.csv", "{path}", "data:,x", ""])
def test_only_http_and_https_sources_are_read(tmp_path, source):
    original = tmp_path / "original"
    original.write_bytes(CONTENT)
    folder = tmp_path / "data"
    with pytest.raises(DownloadError, match="only http and https sources are read"):
        fetch(remote(source.format(path=original)), folder)
    assert not folder.exists()


def test_file_without_sources_cannot_be_downloaded(tmp_path):
    with pytest.raises(DownloadError, match=f"{NAME} could not be downloaded"):
        fetch(remote(), tmp_path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_member_of_a_zip_archive_is_stored_alone(web, tmp_path, compression):
    web.pages["/all.zip"] = zipped(compression=compression)
    path = fetch(remote(f"{web.url}/all.zip#{NAME}"), tmp_path)
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", ZIP_FAILURES)
def test_next_source_is_used_after_a_broken_archive(web, tmp_path, failure):
    archive, reason = ZIP_FAILURES[failure]
    web.pages.update({"/all.zip": archive, "/good": CONTENT})
    bad = f"{web.url}/all.zip#{NAME}"
    with pytest.raises(DownloadError, match=reason):
        fetch(remote(bad), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert fetch(remote(bad, f"{web.url}/good"), tmp_path).read_bytes() == CONTENT


def test_archive_may_be_larger_than_its_member(web, tmp_path):
    web.pages["/all.zip"] = zipped(b"short", compression=zipfile.ZIP_STORED)
    path = fetch(remote(f"{web.url}/all.zip#{NAME}", content=b"short"), tmp_path)
    assert path.read_bytes() == b"short"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["write", "replace"])
def test_no_file_is_left_when_storing_fails(web, tmp_path, monkeypatch, step, error):
    web.pages["/good"] = CONTENT

    if step == "replace":
        monkeypatch.setattr(Path, "replace", Mock(side_effect=error))
    else:

        def write_half(path, content):
            with path.open("wb") as stream:
                stream.write(content[: len(content) // 2])
            raise error

        monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(type(error)):
        fetch(remote(f"{web.url}/good"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_transfer_leaves_no_file(web, tmp_path, monkeypatch):
    web.pages["/good"] = CONTENT
    monkeypatch.setattr("http.client.HTTPResponse.read1", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fetch(remote(f"{web.url}/good"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_verify_tells_a_short_file_from_another_one():
    verify(remote(), CONTENT)
    with pytest.raises(ValueError, match="truncated: 10,499 of 10,500 bytes"):
        verify(remote(), CONTENT[:-1])
    with pytest.raises(ValueError, match="SHA-256"):
        verify(remote(), CONTENT + b"\n")
