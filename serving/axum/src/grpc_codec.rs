//! Between gRPC messages and their bytes.

use std::marker::PhantomData;

use axum::body::Bytes;
use prost::Message;
use prost::bytes::Buf;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// What a message is read to.
pub trait FromMessage: Sized + Send + 'static {
    /// An error says that the bytes are no such message.
    fn read(bytes: &mut DecodeBuf<'_>) -> Result<Self, Status>;
}

impl<M: Message + Default + Send + 'static> FromMessage for M {
    fn read(bytes: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        Self::decode(bytes).map_err(|error| Status::invalid_argument(error.to_string()))
    }
}

/// The bytes of a message that is to be read later, where there is time for it, and with more care.
#[derive(Debug)]
pub struct Unread(pub Bytes);

impl FromMessage for Unread {
    fn read(bytes: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        Ok(Self(bytes.copy_to_bytes(bytes.remaining()))) // which copies nothing
    }
}

/// Reads requests of one type and writes responses of another.
pub struct MessageCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + 'static, U: FromMessage> Codec for MessageCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = MessageEncoder<T>;
    type Decoder = MessageDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        MessageEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder(PhantomData)
    }
}

/// Writes messages.
pub struct MessageEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for MessageEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Reads messages.
pub struct MessageDecoder<U>(PhantomData<U>);

impl<U: FromMessage> Decoder for MessageDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::read(buffer).map(Some)
    }
}
