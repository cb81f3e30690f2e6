import json

from hypothesis import given
from hypothesis import strategies as st

from serving.json_array import split_array

ROWS = st.lists(
    st.dictionaries(st.text('a{}[]," \\', max_size=4), st.text('{}[],: "\\\n', max_size=12) | st.integers())
)


def parsed(pieces: list[bytes]) -> list | None:
    """The elements of all pieces, if every piece is an array."""
    try:
        arrays = [json.loads(piece) for piece in pieces]
    except ValueError:
        return None
    if not all(isinstance(array, list) for array in arrays):
        return None
    return [element for array in arrays for element in array]


@given(ROWS, st.integers(1, 60), st.sampled_from([None, 1]))
def test_pieces_that_are_all_valid_hold_the_elements_of_the_array(rows: list[dict], piece_bytes: int, indent):
    pieces = list(split_array(json.dumps(rows, indent=indent).encode(), piece_bytes))
    assert parsed(pieces) in (None, rows)


@given(st.lists(st.fixed_dictionaries({"name": st.text("abc"), "size": st.integers()})), st.integers(1, 60))
def test_an_ordinary_array_is_cut_into_valid_pieces(rows: list[dict], piece_bytes: int):
    body = json.dumps(rows).encode()
    pieces = list(split_array(body, piece_bytes))
    assert parsed(pieces) == rows
    assert all(len(piece) <= piece_bytes + 60 + 2 * len(str(rows)) for piece in pieces)


@given(st.text('{}[],"ab \\', max_size=60), st.integers(1, 20))
def test_what_is_no_array_of_objects_never_becomes_one(text: str, piece_bytes: int):
    elements = parsed(list(split_array(text.encode(), piece_bytes)))
    if elements is not None:
        assert elements == json.loads(text)
