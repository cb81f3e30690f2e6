//! An unfinished file of the record: whole gzip members, one after the other, under a lock of the process that writes
//! it.
//!
//! However the process ends, what was written until then can be read once an incomplete last member has been cut off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{FlockOperation, flock};

use crate::record_names::{Names, after, unfinished};

/// Of compression: a tenth larger than at the highest level, in a third of the time.
const LEVEL: u32 = 4;

/// A gzip member.
pub(crate) fn compress(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut member = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::new(LEVEL));
    member.write_all(text)?;
    member.finish()
}

/// The file, which is `size` bytes long.
pub(crate) struct Part {
    file: File,
    folder: PathBuf,
    name: String,
    pub(crate) size: u64,
    pub(crate) begun: Instant,
}

impl Part {
    /// An empty one, under a name that no other file has or had.
    pub(crate) fn new(folder: &Path, names: &mut Names) -> io::Result<Self> {
        loop {
            let name = names.next(SystemTime::now());
            let path = folder.join(unfinished(&name));
            let file = match OpenOptions::new().read(true).write(true).create_new(true).mode(0o640).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let part = Self { file, folder: folder.to_owned(), name, size: 0, begun: Instant::now() };
            // before it was locked, a service that starts may have taken it for a leftover
            if !lock(&part.file) || !part.is_there() {
                continue;
            }
            if is_taken(&folder.join(&part.name)) {
                fs::remove_file(&path)?;
                continue;
            }
            return Ok(part);
        }
    }

    /// Whether it is still in its folder: it may have been removed, or the folder may.
    pub(crate) fn is_there(&self) -> bool {
        is_at(&self.folder.join(unfinished(&self.name)), &self.file)
    }

    /// Write a member; if that fails, nothing of it is left.
    pub(crate) fn append(&mut self, member: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(member, self.size) {
            self.file.set_len(self.size)?;
            return Err(error);
        }
        self.size += member.len() as u64;
        Ok(())
    }

    /// Give it its name, or remove it if it is empty.
    pub(crate) fn finish(self) -> io::Result<()> {
        finish(&self.file, &self.folder, &self.name, self.size)
    }
}

/// Take the file's lock, if nobody has it.
pub(crate) fn lock(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// Whether the file is the one that has this path.
pub(crate) fn is_at(path: &Path, file: &File) -> bool {
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(found), Ok(mine)) => (found.dev(), found.ino()) == (mine.dev(), mine.ino()),
        _ => false,
    }
}

/// Cut an unfinished file to `size` bytes and give it its name, which is `name` but for those that are taken; if
/// nothing is left of it, it is removed. The caller must hold the file's lock.
pub(crate) fn finish(file: &File, folder: &Path, name: &str, size: u64) -> io::Result<()> {
    let path = folder.join(unfinished(name));
    if size == 0 {
        return fs::remove_file(path);
    }
    file.set_len(size)?;
    file.sync_all()?;
    let mut name = name.to_owned();
    while is_taken(&folder.join(&name)) {
        name = after(&name).ok_or(ErrorKind::AlreadyExists)?;
    }
    fs::rename(path, folder.join(name))?;
    File::open(folder)?.sync_all()
}

fn is_taken(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
