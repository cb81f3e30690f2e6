//! The messages of the Open Inference Protocol over gRPC and the service's skeleton, generated from
//! `proto/open_inference.proto`.

#![allow(missing_docs, clippy::all, clippy::pedantic)]

/// The .proto file, compiled, for clients that ask for it.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/open_inference.bin"));

tonic::include_proto!("inference");
