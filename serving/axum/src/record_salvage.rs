//! Files that killed processes have left: they are finished here, cut after their last whole member.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use flate2::bufread::GzDecoder;
use rustix::fs::OFlags;

use crate::record_names::finished;
use crate::record_part::{finish, is_at, lock};

/// Finish the files in the folder that no process writes any more. Returns how many there were.
pub(crate) fn salvage(folder: &Path) -> io::Result<usize> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| finished(name).is_some()));
    }
    names.sort_unstable();
    names.iter().map(|name| salvage_one(folder, name).map(usize::from)).sum()
}

fn salvage_one(folder: &Path, unfinished: &str) -> io::Result<bool> {
    let path = folder.join(unfinished);
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    // it may have gone, be a link, or somebody else's
    let Ok(file) = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path) else { return Ok(false) };
    let facts = file.metadata()?;
    if !facts.is_file() || facts.nlink() != 1 || !lock(&file) || !is_at(&path, &file) {
        return Ok(false);
    }
    let Some(name) = finished(unfinished) else { return Ok(false) };
    finish(&file, folder, name, whole_bytes(&file))?;
    Ok(true)
}

/// The total size in bytes of the whole gzip members at the beginning of the file.
fn whole_bytes(file: &File) -> u64 {
    let mut counted = Counted { file: BufReader::new(file), read: 0 };
    let mut whole = 0;
    while counted.fill_buf().is_ok_and(|rest| !rest.is_empty()) {
        let mut member = GzDecoder::new(&mut counted);
        if io::copy(&mut member, &mut io::sink()).is_err() {
            break;
        }
        whole = counted.read;
    }
    whole
}

/// Counts what is read from a file.
struct Counted<'f> {
    file: BufReader<&'f File>,
    read: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.file.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount as u64;
        self.file.consume(amount);
    }
}
