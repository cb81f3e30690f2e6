//! String tensors of ONNX Runtime, written in place.

use std::borrow::Cow;

use ort::AsPointer;
use ort::memory::Allocator;
use ort::value::{DynTensor, TensorElementType};

/// A tensor of empty strings.
pub fn new(rows: usize, columns: usize) -> ort::Result<DynTensor> {
    DynTensor::new(&Allocator::default(), TensorElementType::String, [rows, columns])
}

/// Overwrite the strings of a tensor, in row order.
///
/// `ort` makes new string tensors, from a C string for each value: 0.6 µs for a row of eight, and they may not contain
/// NUL. Writing into the strings that the tensor has takes 0.07 µs.
pub fn write(tensor: &mut DynTensor, strings: &[Cow<'_, str>]) -> ort::Result<()> {
    if *tensor.data_type() != TensorElementType::String || tensor.shape().num_elements() != strings.len() {
        return Err(ort::Error::new("the tensor has not as many strings"));
    }
    for (index, text) in strings.iter().enumerate() {
        write_one(tensor, index, text.as_bytes())?;
    }
    Ok(())
}

#[allow(unsafe_code)] // ONNX Runtime's C API offers this, and `ort` has no safe function for it
fn write_one(tensor: &mut DynTensor, index: usize, text: &[u8]) -> ort::Result<()> {
    let resize = ort::api().GetResizedStringTensorElementBuffer;
    let mut buffer = std::ptr::null_mut();
    // SAFETY: the tensor is borrowed mutably and alive. ONNX Runtime itself checks that it holds strings and that the
    // index is inside, and says so in the status, which is taken over once.
    unsafe { ort::Error::result_from_status(resize(tensor.ptr_mut(), index, text.len(), &raw mut buffer)) }?;
    // SAFETY: on success the buffer belongs to the element and has as many bytes as were asked for; the source is
    // another object's memory.
    unsafe { buffer.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    Ok(())
}
