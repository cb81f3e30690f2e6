//! The connections: accepted, held to their limits, and finished when the service stops.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Method, Request};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;
use tracing::error;

use crate::endpoints::discard;
use crate::errors::RequestError;
use crate::gate::{Gate, READ_BYTES, REFUSED, Refusal, Unfinished};
use crate::request_id::RequestId;
use crate::routes::{Endpoint, OPEN_PATHS};
use crate::state::AppState;

/// How much all connections may hold of unfinished heads.
const UNFINISHED_BYTES: usize = 64 << 20;
/// After a failure to accept that isn't a connection's own (no file descriptors, say), before the next one.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The application of a bundle. A request belongs to one of them from its first byte to its last.
pub struct Current {
    /// Its routes.
    pub router: Router,
    /// What they share.
    pub state: Arc<AppState>,
}

/// What the clients may use of the process.
#[derive(Clone, Copy)]
pub struct ConnectionLimits {
    /// Open connections. Those beyond are answered once, with a 503; those beyond twice as many are closed unread.
    pub connections: usize,
    /// How long a head may take to arrive, and an answer may be left unread.
    pub time: Duration,
}

/// Answer requests with the application that is the current one when they come, until `stop` is ready; then finish
/// those that were accepted.
pub async fn serve(
    listener: TcpListener,
    current: Arc<ArcSwap<Current>>,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
) {
    let stopping = watch::Sender::new(());
    let unfinished = Unfinished::new(UNFINISHED_BYTES);
    let places = Arc::new(Semaphore::new(2 * limits.connections));
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one_connection(error.kind()) => continue,
            Err(error) => {
                error!("no connection can be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let surplus = places.available_permits() < limits.connections;
        let refusal = Refusal::default();
        let gate = Gate::new(within(stream, limits.time), Arc::clone(&unfinished), refusal.clone());
        let connection = Connection { current: Arc::clone(&current), limits, surplus, refusal, _place: place };
        tokio::spawn(connection.serve(gate, stopping.subscribe()));
    }
    drop(listener);
    let _ = stopping.send(()); // an error means that there are no connections
    stopping.closed().await;
}

pub(crate) fn is_of_one_connection(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}

type Stream = Pin<Box<TimeoutStream<TcpStream>>>;

/// The stream, which ends if an answer is left unread for this long.
fn within(stream: TcpStream, time: Duration) -> Stream {
    let _ = stream.set_nodelay(true); // an answer is written at once, and must not wait for more
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(time));
    Box::pin(stream)
}

struct Connection {
    current: Arc<ArcSwap<Current>>,
    limits: ConnectionLimits,
    surplus: bool,
    refusal: Refusal,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Until `stopping` changes; the service waits for its receivers to be gone.
    async fn serve(self, mut gate: Gate<Stream>, mut stopping: watch::Receiver<()>) {
        let service = service_fn(|request| self.answer(request));
        {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.time)
                .max_header_size(READ_BYTES) // the gate is stricter
                .max_buf_size(READ_BYTES)
                .half_close(true) // a client that sends no more may still read
                .serve_connection(TokioIo::new(&mut gate), service);
            let mut connection = pin!(connection);
            // a connection that breaks off affects only its client
            tokio::select! {
                biased; // which costs less: there is one end of the service, and many requests
                _ = connection.as_mut() => {}
                _ = stopping.changed() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        }
        // hyper leaves this out when something went wrong, and when any request on the connection had `Upgrade`
        let _ = poll_fn(|cx| Pin::new(&mut gate).poll_shutdown(cx)).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response, Infallible> {
        if request.method().as_str() == REFUSED {
            return Ok(self.refusal.take().unwrap_or(RequestError::Internal).into_response());
        }
        let request = request.map(Body::new);
        if !self.surplus {
            let predicts = request.method() == Method::POST && Endpoint::of(request.uri().path()).is_some();
            return if predicts || request.body().is_end_stream() {
                self.route(request).await
            } else {
                self.route_without_body(request).await
            };
        }
        let id = RequestId::of_path(request.uri().path(), request.headers());
        let mut response = if OPEN_PATHS.contains(&request.uri().path()) {
            self.route(request).await?
        } else {
            RequestError::Overloaded.into_response()
        };
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        if let Some(id) = id {
            id.echo(&mut response);
        }
        Ok(response)
    }

    async fn route(&self, request: Request<Body>) -> Result<Response, Infallible> {
        let mut router = self.current.load().router.clone();
        router.call(request).await
    }

    /// A route that takes no body may get one; the next request follows it.
    async fn route_without_body(&self, request: Request<Body>) -> Result<Response, Infallible> {
        let (parts, mut body) = request.into_parts();
        let is_read = discard(&mut body, self.limits.time).await;
        let mut response = self.route(Request::from_parts(parts, Body::empty())).await?;
        if !is_read {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}
