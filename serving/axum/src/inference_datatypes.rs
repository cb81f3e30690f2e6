//! The datatypes of the Open Inference Protocol that some feature or output has.

pub(crate) const BOOL: &str = "BOOL";
pub(crate) const BYTES: &str = "BYTES";
pub(crate) const FLOATS: [&str; 2] = ["FP32", "FP64"];
pub(crate) const INTEGERS: [&str; 8] = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"];
