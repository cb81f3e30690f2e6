"""The protocol's tensor datatypes, as NumPy has them: little-endian, as in the binary tensor data extension."""

BOOL, BYTES, FP32, INT64 = "BOOL", "BYTES", "FP32", "INT64"
FLOATS = (FP32, "FP64")
INTEGERS = ("INT8", "INT16", "INT32", INT64, "UINT8", "UINT16", "UINT32", "UINT64")

NUMPY = {
    BOOL: "u1",  # so that a byte that is neither 0 nor 1 can be detected
    FP32: "<f4",
    "FP64": "<f8",
    **{name: f"<{name[0].lower()}{int(name.lstrip('UINT')) // 8}" for name in INTEGERS},
}
"""The element type of every datatype of fixed size."""
