//! `axum-service`: settings, bundle, ONNX Runtime, HTTP. What is wrong is said in one line, with a non-zero exit status.

use std::error::Error;
use std::future::IntoFuture;
use std::process::ExitCode;
use std::sync::Arc;

use axum::serve::ListenerExt;
use axum_service::app::{AppState, app};
use axum_service::artifacts::read_artifact;
use axum_service::log::{self, Level};
use axum_service::manifest::Manifest;
use axum_service::onnx_predictor::{OnnxPredictor, load_runtime};
use axum_service::settings::{Environment, Settings};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

type Failure = Box<dyn Error>;

const NOT_STARTED: u8 = 2;
const NOT_SERVED: u8 = 1;

fn main() -> ExitCode {
    let (settings, state) = match prepare() {
        Ok(prepared) => prepared,
        Err(error) => return fail(error.as_ref(), NOT_STARTED),
    };
    let runtime = runtime::Builder::new_multi_thread().worker_threads(settings.workers).enable_all().build();
    let served = runtime.map_err(Failure::from).and_then(|runtime| {
        let served = runtime.block_on(serve(&settings, state));
        // a large batch may still be at work when the time to stop is up: nobody waits for it
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.as_ref(), NOT_SERVED),
    }
}

fn fail(error: &dyn Error, status: u8) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(status)
}

/// Everything that can be wrong before the first request.
fn prepare() -> Result<(Settings, Arc<AppState>), Failure> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let environment: Environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
    let settings = Settings::read(&environment)?;
    log::set_level(settings.log_level);
    let manifest = Manifest::read(&settings.model_dir, settings.manifest_sha256.as_deref())?;
    let model = read_artifact(&manifest, "onnx_packed", &settings.model_dir)?;
    let runtime = load_runtime(&environment)?;
    let unusable = |error| format!("{}: the model can't be used: {error}", settings.model_dir.display());
    let predictor = OnnxPredictor::new(runtime, model, settings.workers).map_err(unusable)?;
    let state = AppState::new(Box::new(predictor), &manifest, &settings).map_err(unusable)?;
    Ok((settings, state))
}

/// Answer requests until a signal, then finish those that were accepted.
async fn serve(settings: &Settings, state: Arc<AppState>) -> Result<(), Failure> {
    let listener = TcpListener::bind((settings.host.as_str(), settings.port))
        .await
        .map_err(|error| format!("{}:{}: {error}", settings.host, settings.port))?;
    let address = listener.local_addr()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true); // an answer is written at once, and must not wait for more
    });
    let server = axum::serve(listener, app(Arc::clone(&state))).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());
    log::write(Level::Info, format_args!("listening on http://{address} with {} workers", settings.workers));

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    log::write(Level::Info, format_args!("stopping"));
    state.set_ready(false);
    let _ = stop.send(());
    match timeout(settings.shutdown_time, server).await {
        Ok(finished) => finished??,
        Err(_) => log::write(Level::Warning, format_args!("requests were unfinished when the time to stop was up")),
    }
    Ok(())
}
