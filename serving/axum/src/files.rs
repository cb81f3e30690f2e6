//! Reading files that others may have written.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// The content of a regular file of at most `most` bytes: a pipe or a device may have no end. Opening never waits.
pub(crate) fn read_regular(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let facts = file.metadata()?;
    if facts.is_dir() {
        return Err(io::Error::from_raw_os_error(rustix::io::Errno::ISDIR.raw_os_error()));
    }
    if !facts.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut content = Vec::new();
    if facts.len() <= most {
        file.take(most.saturating_add(1)).read_to_end(&mut content)?;
    }
    let size = facts.len().max(content.len() as u64); // it may have grown in between
    if size > most {
        let message = format!("{size} bytes, but at most {most} are read");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(content)
}

/// What went wrong, without the number that Rust appends.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.as_str(), |(reason, _)| reason).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str, most: u64) -> String {
        reason(&read_regular(Path::new(path), most).unwrap_err())
    }

    #[test]
    fn reads_a_regular_file_up_to_its_limit() {
        let path = std::env::temp_dir().join(format!("read-regular-{}", std::process::id()));
        std::fs::write(&path, vec![1; 1234]).unwrap();
        assert_eq!(read_regular(&path, 1234).unwrap(), vec![1; 1234]);
        assert_eq!(refusal(path.to_str().unwrap(), 1233), "1234 bytes, but at most 1233 are read");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn refuses_what_is_no_file_or_has_no_end() {
        assert_eq!(refusal("/dev/zero", u64::MAX), "not a regular file");
        assert_eq!(refusal("/dev", u64::MAX), "Is a directory");
        assert_eq!(refusal("/nowhere", 1), "No such file or directory");
    }
}
