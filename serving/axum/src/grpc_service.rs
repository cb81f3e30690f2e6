//! The calls of the Open Inference Protocol's gRPC service.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use prost::Message;
use serde::de::DeserializeOwned;
use tonic::{Extensions, Request, Response, Status, async_trait};
use tracing::error;

use crate::endpoints::{THREAD_BYTES, in_thread};
use crate::errors::RequestError;
use crate::grpc_body::Hold;
use crate::grpc_codec::Unread;
use crate::grpc_messages::grpc_inference_service_server::GrpcInferenceService;
use crate::grpc_messages::{
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse,
    ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse,
};
use crate::grpc_request::GrpcRequest;
use crate::grpc_response::{check_model, respond};
use crate::request_id::RequestId;
use crate::routes::Endpoint;
use crate::state::AppState;
use crate::work::predict_batch_of;

/// What a call is answered with, and what it holds. Every request that reaches the service has it as an extension.
#[derive(Clone)]
pub struct Call {
    /// The application that was the current one when the call came.
    pub state: Arc<AppState>,
    /// Its share of the process.
    pub hold: Arc<Hold>,
}

impl Call {
    fn of(extensions: &Extensions) -> Result<Self, Status> {
        extensions.get().cloned().ok_or_else(|| RequestError::Internal.into())
    }
}

/// The service.
pub struct Service;

#[async_trait]
impl GrpcInferenceService for Service {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        request: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        let ready = Call::of(request.extensions())?.state.is_ready();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Result<Response<ModelReadyResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let asked = request.into_inner();
        check_model(&call.state.inference, &asked.name, &asked.version)?;
        Ok(Response::new(ModelReadyResponse { ready: call.state.is_ready() }))
    }

    async fn server_metadata(
        &self,
        request: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        let call = Call::of(request.extensions())?;
        Ok(Response::new(read(&call.state.inference.server)?))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let asked = request.into_inner();
        check_model(&call.state.inference, &asked.name, &asked.version)?;
        Ok(Response::new(read(&call.state.inference.model)?))
    }

    async fn model_infer(&self, request: Request<Unread>) -> Result<Response<ModelInferResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let id = request.extensions().get::<RequestId>().cloned().ok_or(RequestError::Internal)?;
        Ok(Response::new(answer(call, id, request.into_inner()).await?))
    }
}

/// The document that HTTP gives.
fn read<T: DeserializeOwned>(document: &[u8]) -> Result<T, RequestError> {
    serde_json::from_slice(document).map_err(|error| {
        error!("a document is not what gRPC says: {error}");
        RequestError::Internal
    })
}

async fn answer(call: Call, id: RequestId, Unread(message): Unread) -> Result<ModelInferResponse, RequestError> {
    if message.len() <= THREAD_BYTES {
        return infer(&call.state, &id, &message, |_| Ok(()));
    }
    let state = Arc::clone(&call.state);
    // it runs on if the client goes, and holds what it needs until its end
    in_thread(&state, move || infer(&call.state, &id, &message, |response| call.hold.resize(response.encoded_len())))
        .await
}

/// Decode, predict, answer. The answer counts if it `fits`. A failure inside goes to the log; so does a panic, by way
/// of its hook.
fn infer(
    state: &AppState,
    id: &RequestId,
    message: &[u8],
    fits: impl FnOnce(&ModelInferResponse) -> Result<(), RequestError>,
) -> Result<ModelInferResponse, RequestError> {
    let work = || {
        let inference = &state.inference;
        let asked = GrpcRequest::read(message, inference.tensors())?;
        check_model(inference, asked.model, asked.version)?;
        let outputs = inference.outputs.select(&asked.request)?;
        let decoded = inference.inputs.decode(&state.requests, &asked.request)?;
        let predictions = predict_batch_of(state, Endpoint::Infer, id, &decoded)?;
        let response = respond(inference, &asked, &outputs, &predictions);
        fits(&response)?;
        if let Some(record) = &state.observers.record {
            record.offer(id, Endpoint::Infer.path(), &decoded.batch, &predictions);
        }
        Ok(response)
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(RequestError::Internal))
}
