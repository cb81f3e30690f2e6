"""From a request's bytes to a batch: decoding, validation and missing values, all as the manifest says.

msgspec decodes and checks in one pass over the bytes, into a type made from the manifest (`serving.row_type`). Only a
body that it refuses is looked at again, in `serving.diagnosis`, to name everything that is wrong with it.
"""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import contains
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bundle.manifest import Manifest
from serving.diagnosis import diagnose
from serving.errors import InvalidRows, MalformedBody, Problem, TooLarge
from serving.json_array import split_array
from serving.predictor import Batch
from serving.row_type import RowType, known_categories

BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a body that it doesn't accept."""

PIECE_BYTES = 32 << 10
"""About a hundred rows."""


class Piece(NamedTuple):
    """Rows of a request, and the feature's name for every value whose category training never saw."""

    batch: Batch
    unseen: Sequence[str]


Decode = Callable[[bytes], Iterable[Piece]]
"""From a request's body to its rows, piece by piece. Raises RequestError, at the latest after the last piece."""


class RequestSchema:
    """Decodes the bodies of one model's requests."""

    def __init__(self, manifest: Manifest, *, max_rows: int, piece_bytes: int = PIECE_BYTES) -> None:
        """A batch is processed in pieces of `piece_bytes`: while a piece is decoded, no other thread can run."""
        self._manifest = manifest
        self._max_rows = max_rows
        self._piece_bytes = piece_bytes
        self._categorical = manifest.categorical
        self._split = len(manifest.categorical)
        self._names = tuple(feature.name for feature in manifest.categorical)
        self._tokens = manifest.tokens
        self._known = tuple(known_categories(feature) for feature in manifest.categorical)
        # Fields in packed order, so that a decoded row's tuple splits into the two parts of a batch.
        rows = RowType((*manifest.categorical, *manifest.numeric))
        self._decode_row, self._decode_rows = rows.decode_row, rows.decode_rows

    def decode_row(self, body: bytes) -> tuple[Piece]:
        """The one row that the body holds.

        Raises:
            MalformedBody: not JSON.
            InvalidRows: not an object of the manifest's features.
        """
        try:
            values = msgspec.structs.astuple(self._decode_row(body))
        except REFUSALS as error:
            raise self._refusal(body, error, many=False) from None
        strings = values[: self._split]
        unseen: list[str] = []
        if not all(map(contains, self._known, strings)):
            pairs = enumerate(zip(strings, self._known, strict=True))
            strings = tuple(s if s in known else self.clean(i, (s,), unseen)[0] for i, (s, known) in pairs)
        batch = Batch(np.array([strings], dtype=object), np.array([values[self._split :]], dtype=np.float32))
        return (Piece(batch, unseen),)

    def decode_rows(self, body: bytes) -> Iterator[Piece]:
        """All rows of the array that the body holds.

        Raises:
            MalformedBody: not JSON.
            InvalidRows: not an array of objects of the manifest's features, or an empty one.
            TooLarge: more rows than allowed.
        """
        decoded = 0
        for rows in self._pieces(body):
            decoded += len(rows)
            if decoded > self._max_rows:
                raise TooLarge("rows", self._max_rows)
            if rows:
                yield self._to_piece(rows)
        if not decoded:
            raise InvalidRows([Problem(("body",), "at least one row is required", "too_short")])

    def _pieces(self, body: bytes) -> Iterator[list[Any]]:
        done = 0
        try:
            for piece in split_array(body, self._piece_bytes):
                rows = self._decode_rows(piece)
                yield rows
                done += len(rows)
        except REFUSALS:
            # Invalid, or cut in the wrong place: decoding the whole body shows which.
            try:
                rows = self._decode_rows(body)
            except REFUSALS as error:
                raise self._refusal(body, error, many=True) from None
            yield rows[done:]

    def _to_piece(self, rows: list[Any]) -> Piece:
        columns = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
        unseen: list[str] = []
        for i, (column, known) in enumerate(zip(columns, self._known, strict=False)):
            if not known.issuperset(column):
                columns[i] = self.clean(i, column, unseen)
        batch = Batch(
            np.array(columns[: self._split], dtype=object).T.reshape(len(rows), self._split),
            np.array(columns[self._split :], dtype=np.float32).T.reshape(len(rows), -1),
        )
        return Piece(batch, unseen)

    def clean(self, index: int, column: Sequence[str | None], unseen: list[str]) -> tuple[str, ...]:
        """The values of a categorical column, with missing and unseen ones replaced.

        Appends the column's name to `unseen` for each unseen one.
        """
        known, missing, strange = self._known[index], self._tokens.missing, self._tokens.unseen
        cleaned = tuple([v if v in known else missing if v is None else strange for v in column])
        if strange in cleaned:
            unseen.extend(self._names[index] for value in cleaned if value is strange)
        return cleaned

    def _refusal(self, body: bytes, error: Exception, *, many: bool) -> InvalidRows | MalformedBody:
        if isinstance(error, msgspec.ValidationError):
            return InvalidRows(diagnose(body, str(error), self._manifest, many=many))
        if body.startswith(BYTE_ORDER_MARKS):
            return MalformedBody("the body starts with a byte order mark")
        return MalformedBody(str(error).removeprefix("JSON is malformed: "))
