//! The thread that writes the record: lines into members, members into files, files under their names.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::files::reason;
use crate::metrics::RecordCounts;
use crate::record_folder::Folder;
use crate::record_lines::{Answered, Lines};
use crate::record_names::Names;
use crate::record_part::{Part, compress};
use crate::record_salvage::salvage;

/// This much text makes a member, and so does whatever there is after this time.
const MEMBER_BYTES: usize = 64 << 10;
const MEMBER_TIME: Duration = Duration::from_secs(1);

/// A file gets its name at this size, or at an eighth of what the record may have, and after this time.
const FILE_BYTES: u64 = 16 << 20;
const FILE_TIME: Duration = Duration::from_mins(1);

/// The messages to the writer.
pub(crate) enum Message {
    /// Write the lines of this request, which frees this much of the queue's room.
    Answered(Box<Answered>, Arc<Lines>, usize),
    /// Finish what there is.
    Stop,
}

/// Writes the record of one process.
pub(crate) struct Writer {
    folder: Folder,
    names: Names,
    file_bytes: u64,
    part: Option<Part>,
    text: Vec<u8>,
    rows: u64,
    begun: Option<Instant>,
    counts: RecordCounts,
    /// How many rows were lost since writing began to fail.
    failing: Option<u64>,
}

impl Writer {
    pub(crate) fn new(path: &Path, most_bytes: u64, service: &'static str, counts: RecordCounts) -> Self {
        Self {
            folder: Folder::new(path, most_bytes),
            names: Names::new(service),
            file_bytes: FILE_BYTES.min(most_bytes / 8),
            part: None,
            text: Vec::new(),
            rows: 0,
            begun: None,
            counts,
            failing: None,
        }
    }

    /// Finish what others have left, and check that a file can be made. A failure is logged, and tried again later.
    pub(crate) fn prepare(&mut self) {
        let prepared = self.folder.lock().map(drop).and_then(|()| {
            let left = salvage(self.folder.path())?;
            if left > 0 {
                info!("the record has {left} more files, which killed services had left");
            }
            Part::new(self.folder.path(), &mut self.names)?.finish()
        });
        self.tell(prepared, 0);
    }

    /// Write what arrives until it is time to stop.
    pub(crate) fn run(mut self, queue: &Receiver<Message>, waiting: &AtomicUsize) {
        loop {
            let message = match self.due() {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => queue.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match message {
                Ok(Message::Answered(answered, lines, room)) => {
                    self.add(&answered, &lines);
                    waiting.fetch_sub(room, Ordering::Relaxed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
            self.write_what_is_due(Instant::now());
        }
        self.flush();
        self.finish_file();
    }

    /// When there is something to do even if nothing arrives.
    fn due(&self) -> Option<Instant> {
        let member = self.begun.map(|begun| begun + MEMBER_TIME);
        let file = self.part.as_ref().map(|part| part.begun + FILE_TIME);
        member.into_iter().chain(file).min()
    }

    fn add(&mut self, answered: &Answered, lines: &Lines) {
        lines.write(answered, |line| {
            self.begun.get_or_insert_with(Instant::now);
            self.text.extend_from_slice(line);
            self.rows += 1;
            if self.text.len() >= MEMBER_BYTES {
                self.flush();
            }
        });
    }

    fn write_what_is_due(&mut self, now: Instant) {
        if self.begun.is_some_and(|begun| begun + MEMBER_TIME <= now) {
            self.flush();
        }
        if self.part.as_ref().is_some_and(|part| part.begun + FILE_TIME <= now) {
            self.finish_file();
        }
    }

    /// Write the lines that there are as a member; they are lost if that fails.
    fn flush(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        self.begun = None;
        if rows == 0 {
            return;
        }
        let written = compress(&self.text).and_then(|member| self.append(&member));
        self.text.clear();
        match &written {
            Ok(()) => self.counts.rows.inc_by(rows),
            Err(_) => self.counts.write.inc_by(rows),
        };
        self.tell(written, rows);
    }

    fn append(&mut self, member: &[u8]) -> io::Result<()> {
        let size = member.len() as u64;
        if self.part.as_ref().is_some_and(|part| part.size > 0 && part.size + size > self.file_bytes) {
            self.finish_file();
        }
        let _lock = self.folder.lock()?;
        if self.make_room(size).is_err() {
            self.finish_file(); // which can be removed then
            self.make_room(size)?;
        }
        if !self.part.as_ref().is_some_and(Part::is_there) {
            self.part = None;
            self.part = Some(Part::new(self.folder.path(), &mut self.names)?);
        }
        self.part.as_mut().map_or(Ok(()), |part| part.append(member))
    }

    fn make_room(&mut self, size: u64) -> io::Result<()> {
        self.folder.make_room(size, || {
            self.counts.removed.inc();
        })
    }

    fn finish_file(&mut self) {
        if let Some(part) = self.part.take() {
            let finished = if part.is_there() { part.finish() } else { Ok(()) };
            if let Err(error) = finished {
                self.tell(Err(error), 0);
            }
        }
    }

    /// Log when writing begins to fail, and when it works again.
    fn tell(&mut self, result: io::Result<()>, rows: u64) {
        let folder = self.folder.path().display();
        match (result, &mut self.failing) {
            (Ok(()), None) => {}
            (Ok(()), Some(lost)) => {
                info!("the record is written again in {folder}; {lost} rows were lost");
                self.failing = None;
            }
            (Err(_), Some(lost)) => *lost += rows,
            (Err(error), None) => {
                error!("the record can't be written in {folder}, its rows are lost until it can: {}", reason(&error));
                self.failing = Some(rows);
            }
        }
    }
}
