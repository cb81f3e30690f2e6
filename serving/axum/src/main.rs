//! `axum-service`: settings, bundle, ONNX Runtime, HTTP. Errors are printed in one line, with a non-zero exit status.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum_service::allocator::give_back;
use axum_service::app::app;
use axum_service::artifacts::read_artifact;
use axum_service::grpc_server::serve_grpc;
use axum_service::manifest::Manifest;
use axum_service::manifest_file::read_manifest;
use axum_service::metrics::Metrics;
use axum_service::onnx_predictor::OnnxPredictor;
use axum_service::onnx_runtime::{OnnxRuntime, load_runtime};
use axum_service::record::{Record, Recorder};
use axum_service::server::{ConnectionLimits, Current, serve};
use axum_service::settings::{Environment, Settings, read_keys};
use axum_service::state::{AppState, Observers};
use axum_service::trace_settings::read_tracing;
use axum_service::traces::{TracedModel, Traces};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;
use tracing::{error, info, warn};

type Failure = Box<dyn Error + Send + Sync>;

const NOT_STARTED: u8 = 2;
const NOT_SERVED: u8 = 1;

/// File descriptors that are needed for things other than clients' connections.
const OTHER_FILES: usize = 256;

/// How long a model that replaces the current one may take to be loaded and to answer its example.
const LOAD_TIME: Duration = Duration::from_mins(2);

fn main() {
    let (loader, current) = match Loader::new().and_then(|loader| {
        let current = loader.load()?;
        Ok((loader, current))
    }) {
        Ok(prepared) => prepared,
        Err(error) => leave(fail(error.as_ref(), NOT_STARTED)),
    };
    let runtime = runtime::Builder::new_multi_thread().worker_threads(loader.settings.workers).enable_all().build();
    let (recorder, traces) = (loader.recorder.clone(), loader.traces.clone());
    let served = runtime.map_err(Failure::from).and_then(|runtime| {
        let served = runtime.block_on(run(Arc::new(loader), current));
        runtime.shutdown_background();
        served
    });
    if let Some(recorder) = recorder {
        recorder.finish();
    }
    if let Some(traces) = traces {
        traces.finish();
    }
    leave(served.map_or_else(|error| fail(error.as_ref(), NOT_SERVED), |()| 0))
}

/// End the process without the destructors of its libraries. A thread that is still loading a model or predicting a large
/// batch inside ONNX Runtime would crash during them.
#[allow(unsafe_code)]
fn leave(status: u8) -> ! {
    // SAFETY: `_exit` only ends the process. Nothing is left to be written: the log goes to stderr, which has no buffer.
    unsafe { libc::_exit(i32::from(status)) }
}

fn fail(error: &dyn Error, status: u8) -> u8 {
    eprintln!("error: {error}");
    status
}

/// Makes an application of the bundle that is there.
struct Loader {
    environment: Environment,
    settings: Settings,
    runtime: OnnxRuntime,
    metrics: Arc<Metrics>,
    recorder: Option<Arc<Recorder>>,
    traces: Option<Arc<Traces>>,
}

impl Loader {
    /// Settings and bundle are checked before ONNX Runtime: errors in them are reported first.
    fn new() -> Result<Self, Failure> {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment: Environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        let settings = Settings::read(&environment)?;
        let is_traced = read_tracing(&environment)?;
        write_log(settings.log_level);
        read_bundle(&settings)?;
        for port in ports(&settings) {
            std::net::TcpListener::bind(port.address(&settings)).map_err(|error| port.not_bound(&settings, &error))?;
        }
        let runtime = load_runtime(&environment)?;
        let metrics = Arc::<Metrics>::default();
        let recorder = settings.record.as_ref().map(|settings| Recorder::start(settings, &metrics)).transpose()?;
        let traces = is_traced.then(Traces::start).transpose()?;
        Ok(Self { environment, settings, runtime, metrics, recorder, traces })
    }

    /// Everything that can be wrong with a bundle is found here.
    fn load(&self) -> Result<Current, Failure> {
        let settings = &self.settings;
        let (manifest, model) = read_bundle(settings)?;
        let unusable = |error| format!("{}: the model can't be used: {error}", settings.model_dir.display());
        let predictor =
            OnnxPredictor::new(self.runtime.clone(), &manifest, model, settings.workers).map_err(unusable)?;
        let record = self.recorder.as_ref().map(|recorder| Record::new(recorder, &manifest)).transpose()?;
        let traces = self.traces.as_ref().map(|traces| TracedModel::new(traces, &manifest));
        let observers = Observers { record, traces };
        let state = AppState::observed(Box::new(predictor), &manifest, settings, &self.metrics, observers);
        let state = state.map_err(unusable)?;
        info!("model version {}", manifest.version);
        Ok(Current { router: app(Arc::clone(&state)), state })
    }

    /// Reread the keys. If one of them is invalid, all stay as they are; this does not affect the bundle.
    fn reload_keys(&self) {
        match read_keys(&self.environment) {
            Ok(keys) => self.settings.api_keys.replace(&keys),
            Err(error) => error!("not reloaded, the API keys stay: {error}"),
        }
    }
}

fn read_bundle(settings: &Settings) -> Result<(Manifest, Vec<u8>), Failure> {
    let manifest = read_manifest(&settings.model_dir, settings.manifest_sha256.as_deref())?;
    if let Some(record) = &settings.record {
        record.recorded(&manifest)?;
    }
    let model = read_artifact(&manifest, "onnx_packed", &settings.model_dir)?;
    Ok((manifest, model))
}

/// A port, and the variable that names it.
struct Port(&'static str, u16);

impl Port {
    fn address<'s>(&self, settings: &'s Settings) -> (&'s str, u16) {
        (settings.host.as_str(), self.1)
    }

    async fn bind(&self, settings: &Settings) -> Result<TcpListener, String> {
        TcpListener::bind(self.address(settings)).await.map_err(|error| self.not_bound(settings, &error))
    }

    fn not_bound(&self, settings: &Settings, error: &std::io::Error) -> String {
        format!("SERVE_HOST={:?}, {}={}: {error}", settings.host, self.0, self.1)
    }
}

/// The port for HTTP, and the one for gRPC if there is one.
fn ports(settings: &Settings) -> Vec<Port> {
    let grpc = settings.grpc_port.map(|port| Port("SERVE_GRPC_PORT", port));
    [Port("SERVE_PORT", settings.port)].into_iter().chain(grpc).collect()
}

/// Answer requests until a signal, then finish those that were accepted. SIGHUP replaces the model.
async fn run(loader: Arc<Loader>, current: Current) -> Result<(), Failure> {
    let settings = &loader.settings;
    allow_files(3 * settings.max_connections * settings.workers + OTHER_FILES);
    let mut listeners = Vec::new();
    for port in ports(settings) {
        listeners.push(port.bind(settings).await?);
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let current = Arc::new(ArcSwap::from_pointee(current));
    tokio::spawn(reload_at(signal(SignalKind::hangup())?, Arc::clone(&loader), Arc::clone(&current)));
    let stopping = watch::Sender::new(());
    let limits = ConnectionLimits {
        // per worker, as with workers that are processes
        connections: settings.max_connections * settings.workers,
        time: settings.request_time,
    };
    let mut servers = JoinSet::new();
    for (listener, is_grpc) in listeners.into_iter().zip([false, true]) {
        let (address, current, docs) = (listener.local_addr()?, Arc::clone(&current), settings.docs);
        let mut stopping = stopping.subscribe();
        let stop = async move { _ = stopping.changed().await };
        if is_grpc {
            servers
                .spawn(async move { serve_grpc(listener, current, limits, docs, stop).await.map_err(Failure::from) });
            info!("listening for gRPC on {address}");
        } else {
            servers.spawn(async move {
                serve(listener, current, limits, stop).await;
                Ok(())
            });
            info!("listening on http://{address} with {} workers", settings.workers);
        }
    }
    info!("{}", who_is_answered(settings));

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("stopping");
    current.load().state.set_ready(false);
    stopping.send_replace(());
    let finished = async {
        while let Some(finished) = servers.join_next().await {
            finished??;
        }
        Ok(())
    };
    timeout(settings.shutdown_time, finished).await.unwrap_or_else(|_| {
        warn!("requests were unfinished when the time to stop was up");
        Ok(())
    })
}

/// At every signal, reread the API keys at once, and replace the current application by one of the bundle that is
/// there, once it is loaded. If one of the two fails, or takes too long, it stays as it was.
async fn reload_at(mut signals: Signal, loader: Arc<Loader>, current: Arc<ArcSwap<Current>>) {
    let turns = Arc::new(Mutex::new(()));
    while signals.recv().await.is_some() {
        loader.reload_keys();
        tokio::spawn(reload_model(Arc::clone(&turns), Arc::clone(&loader), Arc::clone(&current)));
    }
}

/// One reload at a time. A model that never finishes loading keeps its thread, but does not keep a later one from being
/// loaded.
async fn reload_model(turns: Arc<Mutex<()>>, loader: Arc<Loader>, current: Arc<ArcSwap<Current>>) {
    let _turn = turns.lock().await;
    match timeout(LOAD_TIME, spawn_blocking(move || loader.load())).await {
        Ok(Ok(Ok(successor))) => {
            current.store(Arc::new(successor));
            info!("reloaded");
            spawn_blocking(give_back); // what the old one used, and what loading used
        }
        Ok(Ok(Err(error))) => error!("not reloaded, the model stays: {error}"),
        Ok(Err(error)) => error!("not reloaded, the model stays: {error}"),
        Err(_) => {
            let seconds = LOAD_TIME.as_secs();
            error!("not reloaded, the model stays: the new one takes longer than {seconds} seconds to be loaded");
        }
    }
}

fn who_is_answered(settings: &Settings) -> &'static str {
    if settings.api_keys.is_empty() {
        "no API key is asked for: whoever can connect is answered (SERVE_API_KEY, SERVE_API_KEY_FILE)"
    } else {
        "all requests need an API key, except those for health and the page of /docs"
    }
}

/// Write log lines of this level and the more important ones to standard error.
fn write_log(level: LevelFilter) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .with_ansi(false)
        .init();
}

/// Let this process open this many files at once, or as many as allowed: each connection is one.
fn allow_files(wanted: usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(wanted as u64, |maximum| maximum.min(wanted as u64));
    if limit.current.is_some_and(|current| current < wanted) {
        // at the old limit connections wait to be accepted, which is no reason not to start
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}
