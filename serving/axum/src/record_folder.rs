//! The folder of the record: how much is in it, and room for more.
//!
//! All processes that record into a folder keep to its limit together: a writer holds a lock on the folder, counts what
//! is there, and removes the oldest whole files if needed. A whole file that was counted once is not looked at again,
//! as it doesn't change.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};

use crate::record_names::{age, finished};

/// How long to wait for the lock. It is held for milliseconds; a process that holds it longer hangs, and must not stop
/// others.
const LOCK_TIME: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// How long ago a folder's last change must be for a further change to have a different time for certain.
const SETTLED: Duration = Duration::from_millis(100);

/// The folder, which is made when it is first needed.
pub(crate) struct Folder {
    path: PathBuf,
    most_bytes: u64,
    whole: HashMap<String, u64>,
    unfinished: Vec<String>,
    /// Which folder was counted, as of when.
    counted: Option<(u64, u64, SystemTime)>,
}

impl Folder {
    pub(crate) fn new(path: &Path, most_bytes: u64) -> Self {
        Self { path: path.to_owned(), most_bytes, whole: HashMap::new(), unfinished: Vec::new(), counted: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keep the other processes from writing until what is returned is dropped.
    pub(crate) fn lock(&self) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o750).create(&self.path)?;
        let folder = File::open(&self.path)?;
        let deadline = Instant::now() + LOCK_TIME;
        while flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err() && Instant::now() < deadline {
            std::thread::sleep(LOCK_PAUSE);
        }
        Ok(folder)
    }

    /// Remove the oldest whole files until there is room for `size` bytes more; an error if it can't be made. `removed`
    /// is called for each of them. Call it with the lock held.
    pub(crate) fn make_room(&mut self, size: u64, mut removed: impl FnMut()) -> io::Result<()> {
        self.count()?;
        let unfinished = self.unfinished.iter().filter_map(|name| size_of(&self.path.join(name)));
        let most_of_whole = self.most_bytes.checked_sub(unfinished.sum::<u64>() + size);
        let Some(most_of_whole) = most_of_whole else { return Err(self.no_room()) };
        let mut total: u64 = self.whole.values().sum();
        if total <= most_of_whole {
            return Ok(());
        }
        self.counted = None;
        let mut names: Vec<&String> = self.whole.keys().collect();
        names.sort_unstable_by(|one, other| age(one).cmp(&age(other)));
        for name in names {
            match fs::remove_file(self.path.join(name)) {
                Ok(()) => removed(),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(_) => continue, // somebody else's
            }
            total -= self.whole[name];
            if total <= most_of_whole {
                return Ok(());
            }
        }
        Err(self.no_room())
    }

    fn no_room(&self) -> io::Error {
        let most = self.most_bytes;
        io::Error::new(ErrorKind::StorageFull, format!("the record may have {most} bytes, and no older files can go"))
    }

    /// Take note of the whole files that are new and of those that have gone, if the folder has changed.
    fn count(&mut self) -> io::Result<()> {
        let facts = fs::metadata(&self.path)?;
        let state = Some((facts.dev(), facts.ino(), facts.modified()?));
        if state == self.counted {
            return Ok(());
        }
        let settled = facts.modified()?.elapsed().is_ok_and(|elapsed| elapsed > SETTLED);
        let known = std::mem::take(&mut self.whole);
        self.unfinished.clear();
        for entry in fs::read_dir(&self.path)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if let Some(size) = known.get(&name) {
                self.whole.insert(name, *size);
            } else if age(&name).is_some() {
                let size = size_of(&self.path.join(&name));
                self.whole.extend(size.map(|size| (name, size)));
            } else if finished(&name).is_some() {
                self.unfinished.push(name);
            }
        }
        self.counted = state.filter(|_| settled);
        Ok(())
    }
}

/// The size of a regular file; None of anything else, or of nothing.
fn size_of(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file).map(|facts| facts.len())
}
