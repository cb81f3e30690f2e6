//! The names of the record's files: when one was begun, by which service and process, and its number in that process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::dates;

const SERVICES: [&str; 3] = ["onnx", "pickle", "axum"];
const ENDING: &str = ".jsonl.gz";

/// The sort key of whole files' names, the oldest first: time, process, and the number in it. None for other names.
pub(crate) fn age(name: &str) -> Option<(&str, u64, u64)> {
    let parts: Vec<&str> = name.strip_prefix("record-")?.strip_suffix(ENDING)?.split('-').collect();
    let [time, service, process, number] = parts[..] else { return None };
    let form = time.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    let is_time = form.eq(b"00000000T000000.000000Z".iter().copied());
    let whole = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    if is_time && SERVICES.contains(&service) { Some((time, whole(process)?, whole(number)?)) } else { None }
}

/// The name of a whole file before it is finished.
pub(crate) fn unfinished(name: &str) -> String {
    format!(".{name}.part")
}

/// The name that an unfinished file will have; None for other names.
pub(crate) fn finished(name: &str) -> Option<&str> {
    name.strip_prefix('.')?.strip_suffix(".part").filter(|name| age(name).is_some())
}

/// Gives names to files.
pub(crate) struct Names {
    service: &'static str,
    last: SystemTime,
    count: u64,
}

impl Names {
    pub(crate) fn new(service: &'static str) -> Self {
        Self { service, last: UNIX_EPOCH, count: 0 }
    }

    /// The next name. Its time never goes back, so that a younger file of a process has the later name.
    pub(crate) fn next(&mut self, now: SystemTime) -> String {
        self.last = now.max(self.last + Duration::from_micros(1));
        let number = self.count;
        self.count += 1;
        let time: String = iso(self.last).chars().filter(|character| !['-', ':'].contains(character)).collect();
        format!("record-{time}-{}-{}-{number}{ENDING}", self.service, std::process::id())
    }
}

/// The name with the next number instead of its own.
pub(crate) fn after(name: &str) -> Option<String> {
    let (before, _) = name.rsplit_once('-')?;
    Some(format!("{before}-{}{ENDING}", age(name)?.2 + 1))
}

/// A moment as ISO 8601 in UTC, to the microsecond. One before 1970 becomes its beginning.
pub(crate) fn iso(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let date = i32::try_from(days).ok().and_then(dates::text).unwrap_or_else(|| "9999-12-31".to_owned());
    let (hour, minute, second, micros) = (second / 3600, second / 60 % 60, second % 60, since.subsec_micros());
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_process_and_number() {
        let name = |time, process, number| format!("record-20261127T{time}.000000Z-axum-{process}-{number}.jsonl.gz");
        let names = [name("192030", 9, 1), name("192030", 10, 9), name("192030", 10, 10), name("192031", 1, 0)];
        assert!(names.iter().map(|name| age(name).unwrap()).is_sorted());
        assert_eq!(after(&names[1]).unwrap(), names[2]);
        assert_eq!(finished(&unfinished(&names[0])), Some(names[0].as_str()));
    }

    #[test]
    fn other_files_are_not_the_records() {
        let good = "record-20261127T192030.123456Z-onnx-7-0.jsonl.gz";
        assert_eq!(age(good), Some(("20261127T192030.123456Z", 7, 0)));
        for name in [
            "",
            "record-.jsonl.gz",
            &good[1..],
            &good[..good.len() - 3],
            &good.replace("onnx", "other"),
            &good.replace("-7-0", "-7"),
            &good.replace("-7-0", "-7-0-0"),
            &good.replace("-7-0", "-7-+0"),
            &good.replace('.', "x"),
            &format!("{good}.part"),
            &format!(".{good}"),
        ] {
            assert_eq!(age(name), None, "{name}");
        }
        assert_eq!([finished(good), finished(".a.part")], [None; 2]);
    }

    #[test]
    fn times_are_utc_and_go_on_when_the_clock_goes_back() {
        let time = UNIX_EPOCH + Duration::from_micros(1_795_807_230_123_456);
        assert_eq!(iso(time), "2026-11-27T19:20:30.123456Z");
        let mut names = Names::new("axum");
        let process = std::process::id();
        let expected = |time, number| format!("record-20261127T192030.{time}Z-axum-{process}-{number}.jsonl.gz");
        assert_eq!(names.next(time), expected("123456", 0));
        assert_eq!(names.next(time - Duration::from_hours(1)), expected("123457", 1));
    }
}
