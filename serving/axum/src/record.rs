//! The record of what was asked and answered: a sample of the requests, handed to the thread that writes it.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tracing::warn;

use crate::documents::BACKEND;
use crate::manifest::Manifest;
use crate::metrics::{Metrics, RecordCounts};
use crate::predictor::{Batch, Predictions};
use crate::record_lines::{Answered, Lines, Rows};
use crate::record_settings::RecordSettings;
use crate::record_writer::{Message, Writer};
use crate::request_id::RequestId;

/// How much may wait to be written, in rows; a row of long strings counts as several.
const QUEUE_ROWS: usize = 10_000;
const ROW_BYTES: usize = 4 << 10;

/// How long the record may take to be finished when the service ends.
const FINISH_TIME: Duration = Duration::from_secs(5);
const FINISH_PAUSE: Duration = Duration::from_millis(5);

/// The record of the process.
pub struct Recorder {
    settings: RecordSettings,
    queue: SyncSender<Message>,
    /// How much of the queue's room is taken.
    waiting: Arc<AtomicUsize>,
    draws: AtomicU64,
    counts: RecordCounts,
    finished: Mutex<Receiver<()>>,
}

impl Recorder {
    /// Start to record into the folder of the settings. If it can't be written, that is logged, and what is lost is
    /// counted.
    pub fn start(settings: &RecordSettings, metrics: &Metrics) -> io::Result<Arc<Self>> {
        let (queue, messages) = sync_channel(QUEUE_ROWS);
        let (done, finished) = sync_channel(1);
        let waiting = Arc::<AtomicUsize>::default();
        let counts = metrics.record();
        let mut writer = Writer::new(&settings.folder, settings.most_bytes, BACKEND, counts.clone());
        let room = Arc::clone(&waiting);
        thread::Builder::new().name("record".to_owned()).spawn(move || {
            writer.prepare();
            writer.run(&messages, &room);
            let _ = done.send(());
        })?;
        let draws = RandomState::new().hash_one(0).into();
        Ok(Arc::new(Self { settings: settings.clone(), queue, waiting, draws, counts, finished: Mutex::new(finished) }))
    }

    /// Whether the next request is one of those that are recorded.
    #[allow(clippy::cast_precision_loss)] // the 53 bits that are left fit
    fn draw(&self) -> bool {
        // SplitMix64: each step of the sequence, well mixed
        let state = self.draws.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let draw = (mixed ^ (mixed >> 31)) >> 11;
        (draw as f64) < self.settings.sample * (1_u64 << 53) as f64
    }

    /// Take room in the queue; a batch that is larger than the queue takes all of it.
    fn take_room(&self, room: usize) -> bool {
        let taken = |waiting| (waiting == 0 || waiting + room <= QUEUE_ROWS).then_some(waiting + room);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    /// Write what waits, and give the last file its name. Nothing is recorded after that.
    pub fn finish(&self) {
        let deadline = Instant::now() + FINISH_TIME;
        while matches!(self.queue.try_send(Message::Stop), Err(TrySendError::Full(_))) && Instant::now() < deadline {
            thread::sleep(FINISH_PAUSE);
        }
        let rest = deadline.saturating_duration_since(Instant::now());
        if self.finished.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(rest).is_err() {
            warn!("the record was unfinished when the time to stop was up; a later start finishes it");
        }
    }
}

/// The record of one model's requests.
pub struct Record {
    recorder: Arc<Recorder>,
    lines: Arc<Lines>,
}

impl Record {
    /// That of the manifest's model, if it has the features that are to be recorded.
    pub fn new(recorder: &Arc<Recorder>, manifest: &Manifest) -> Result<Self, String> {
        let features = recorder.settings.recorded(manifest)?;
        Ok(Self { recorder: Arc::clone(recorder), lines: Arc::new(Lines::new(manifest, &features, BACKEND)) })
    }

    /// Record an answered request, if it is one of the sample and there is room in the queue. Never waits.
    pub fn offer(&self, id: &RequestId, route: &'static str, batch: &Batch<'_>, predictions: &Predictions) {
        let recorder = &self.recorder;
        if !recorder.draw() {
            return;
        }
        let text: usize = batch.categorical.iter().map(|text| text.len()).sum();
        let room = batch.rows + text / ROW_BYTES;
        if recorder.take_room(room) {
            let (rows, predictions, id) = (Rows::of(batch), predictions.clone(), id.clone());
            let answered = Box::new(Answered { id, route, time: SystemTime::now(), rows, predictions });
            if recorder.queue.try_send(Message::Answered(answered, Arc::clone(&self.lines), room)).is_ok() {
                return;
            }
            recorder.waiting.fetch_sub(room, Ordering::Relaxed);
        }
        recorder.counts.queue.inc_by(batch.rows as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recorder, and what comes out of its queue, which nobody writes.
    fn recorder(sample: f64) -> (Recorder, Receiver<Message>) {
        let settings = RecordSettings { folder: "nowhere".into(), sample, most_bytes: 1, fields: None };
        let (queue, messages) = sync_channel(QUEUE_ROWS);
        let (waiting, counts) = (Arc::default(), Metrics::default().record());
        let finished = Mutex::new(sync_channel(1).1);
        (Recorder { settings, queue, waiting, draws: AtomicU64::new(7), counts, finished }, messages)
    }

    #[test]
    fn the_sample_is_the_part_that_is_asked_for() {
        let drawn = |sample| {
            let (recorder, _) = recorder(sample);
            (0..100_000).filter(|_| recorder.draw()).count()
        };
        assert_eq!([drawn(0.0), drawn(1.0)], [0, 100_000]);
        assert!((900..1100).contains(&drawn(0.01)) && (49_000..51_000).contains(&drawn(0.5)));
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let (recorder, messages) = recorder(1.0);
        let recorder = Arc::new(recorder);
        let lines = Arc::new(Lines::none());
        let record = Record { recorder: Arc::clone(&recorder), lines };
        let offer = |rows, text: &str| {
            let batch = Batch { rows, categorical: vec![text.into()], numeric: vec![] };
            record.offer(&RequestId::of(&[].into_iter().collect()), "/predict", &batch, &Predictions::Values(vec![]));
        };
        let rows = || {
            std::iter::from_fn(|| messages.try_recv().ok()).fold(0, |rows, message| match message {
                Message::Answered(answered, _, room) => {
                    recorder.waiting.fetch_sub(room, Ordering::Relaxed);
                    rows + answered.rows.count
                }
                Message::Stop => rows,
            })
        };
        (0..QUEUE_ROWS - 2).for_each(|_| offer(1, ""));
        offer(3, ""); // one more than there is room for
        offer(1, &"a".repeat(2 * ROW_BYTES)); // which takes as much room as three
        assert_eq!((recorder.counts.queue.get(), rows()), (4, QUEUE_ROWS - 2));
        offer(5 * QUEUE_ROWS, ""); // all by itself
        offer(1, "");
        assert_eq!((recorder.counts.queue.get(), rows()), (5, 5 * QUEUE_ROWS));
    }
}
