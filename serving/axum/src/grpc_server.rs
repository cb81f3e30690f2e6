//! The port for gRPC: its connections, and which clients and calls reach the services on it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Error, Server};
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tower_service::Service as TowerService;
use tracing::error;

use crate::endpoints::SHORT_BODY_BYTES;
use crate::errors::RequestError;
use crate::framing::HEAD_BYTES;
use crate::grpc_body::{Answering, Arriving, Hold};
use crate::grpc_connection::{Answer, Answers, GrpcStream};
use crate::grpc_messages::DESCRIPTORS;
use crate::grpc_messages::grpc_inference_service_server::{GrpcInferenceServiceServer, SERVICE_NAME};
use crate::grpc_service::{Call, Service};
use crate::grpc_status::http_status;
use crate::request_id::RequestId;
use crate::routes::Endpoint;
use crate::server::{ACCEPT_PAUSE, ConnectionLimits, Current, is_of_one_connection};
use crate::state::AppState;

const INFERENCE: &str = "/inference.GRPCInferenceService/";
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// What needs no key: orchestrators have none.
const OPEN_CALLS: [&str; 4] = [
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
];
/// The services whose health is reported: the whole server's has no name.
const HEALTHY: [&str; 2] = ["", SERVICE_NAME];
/// How many calls a connection may have open.
const MAX_STREAMS: u32 = 1024;
/// How much a client may send of all calls, and of one, before any of it is read.
const WINDOW_BYTES: u32 = 1 << 20;

/// Answer calls with the application that is the current one when they come, until `stop` is ready; then finish those
/// that were accepted. `docs` says whether the services describe themselves.
pub async fn serve_grpc(
    listener: TcpListener,
    current: Arc<ArcSwap<Current>>,
    limits: ConnectionLimits,
    docs: bool,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let (reporter, health) = health_reporter();
    reporter.set_service_status(SERVICE_NAME, ServingStatus::Serving).await;
    let service = GrpcInferenceServiceServer::new(Service).max_decoding_message_size(usize::MAX); // the door is stricter
    let mut routes = Routes::new(service).add_service(health);
    if docs {
        routes = add_reflection(routes);
    }
    let half = limits.time / 2;
    Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .http2_max_header_list_size(u32::try_from(HEAD_BYTES).ok())
        .http2_keepalive_interval(Some(half))
        .http2_keepalive_timeout(Some(half))
        .serve_with_incoming_shutdown(
            Door { routes: routes.prepare(), current },
            connections(listener, limits),
            async {
                stop.await;
                end_health(reporter).await;
            },
        )
        .await
}

/// Report that the service is not ready, and end the calls that watch its health.
async fn end_health(mut reporter: HealthReporter) {
    for name in HEALTHY {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
        reporter.clear_service_status(name).await;
    }
}

/// The reflection service, in both versions that clients ask for.
fn add_reflection(routes: Routes) -> Routes {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (builder().build_v1(), builder().build_v1alpha()) {
        (Ok(new), Ok(old)) => routes.add_service(new).add_service(old),
        (Err(error), _) | (_, Err(error)) => {
            error!("the services can't describe themselves: {error}");
            routes
        }
    }
}

/// The clients' connections, up to the limit; those beyond it are closed unread.
fn connections(
    listener: TcpListener,
    limits: ConnectionLimits,
) -> impl Stream<Item = Result<GrpcStream, std::io::Error>> {
    let places = Arc::new(Semaphore::new(limits.connections));
    let accepted = TcpListenerStream::new(listener).then(move |accepted| {
        let place = Arc::clone(&places).try_acquire_owned();
        async move {
            match accepted {
                Ok(stream) => Some(Ok(GrpcStream::new(stream, limits.time, place.ok()?))),
                Err(error) if is_of_one_connection(error.kind()) => None,
                Err(error) => {
                    error!("no connection can be accepted: {error}");
                    sleep(ACCEPT_PAUSE).await;
                    None
                }
            }
        }
    });
    accepted.filter_map(|accepted| accepted)
}

/// Stands before the services.
#[derive(Clone)]
struct Door {
    routes: Routes,
    current: Arc<ArcSwap<Current>>,
}

/// What an answer holds until it is sent.
type Held = Option<(Answer, Arc<Hold>)>;

impl TowerService<Request<Body>> for Door {
    type Response = Response<Answering<Held>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let state = Arc::clone(&self.current.load().state);
        let routes = self.routes.clone();
        Box::pin(async move { Ok(answer(state, routes, request).await) })
    }
}

/// The answer to a call; that to an inference has the request's name, wherever it comes from.
async fn answer(state: Arc<AppState>, routes: Routes, request: Request<Body>) -> Response<Answering<Held>> {
    if request.uri().path() != INFER {
        return answer_call(state, routes, request, None).await;
    }
    let id = RequestId::of(request.headers());
    let mut response = answer_call(state, routes, request, Some(id.clone())).await;
    id.echo(&mut response);
    response
}

async fn answer_call(
    state: Arc<AppState>,
    routes: Routes,
    request: Request<Body>,
    infer: Option<RequestId>,
) -> Response<Answering<Held>> {
    let started = Instant::now();
    let path = request.uri().path();
    let (is_infer, is_unary) = (infer.is_some(), path.starts_with(INFERENCE));
    if !OPEN_CALLS.contains(&path) && !state.keys.is_empty() && !state.keys.admit(request.headers()) {
        return refuse(RequestError::Unauthorized);
    }
    let answers = request.extensions().get::<Arc<Answers>>().cloned();
    let response = match admit(&state, is_infer) {
        Ok(hold) => {
            let request = prepare(&state, &hold, request, is_unary, infer);
            let response = pass(routes, request).await;
            // the others may go on as long as the client likes
            let needed = answers.filter(|_| is_unary).map(|answers| (answers.begin(), hold));
            response.map(|body| Answering::new(body, needed))
        }
        Err(error) => refuse(error),
    };
    if is_infer {
        let code = response.headers().get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
        state.metrics.observe(Endpoint::Infer, http_status(code).as_u16(), started.elapsed());
    }
    response
}

/// Accept a call, if there is room for it. Calls without work need none.
fn admit(state: &AppState, is_infer: bool) -> Result<Arc<Hold>, RequestError> {
    let in_hand = if is_infer { Some(state.capacity.take().ok_or(RequestError::Overloaded)?) } else { None };
    Ok(Hold::new(state.buffers.reserve(), in_hand))
}

/// The request with its limits, and with what it is answered with.
fn prepare(
    state: &Arc<AppState>,
    hold: &Arc<Hold>,
    request: Request<Body>,
    is_unary: bool,
    infer: Option<RequestId>,
) -> Request<Arriving> {
    let limit = if infer.is_some() { state.max_body_bytes } else { SHORT_BODY_BYTES };
    let mut request = request.map(|body| Arriving::new(body, Arc::clone(hold), limit, state.request_time, is_unary));
    request.extensions_mut().insert(Call { state: Arc::clone(state), hold: Arc::clone(hold) });
    if let Some(id) = infer {
        request.extensions_mut().insert(id);
    }
    request
}

async fn pass(mut routes: Routes, request: Request<Arriving>) -> Response<Body> {
    match routes.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn refuse(error: RequestError) -> Response<Answering<Held>> {
    Status::from(error).into_http::<Body>().map(|body| Answering::new(body, None))
}
