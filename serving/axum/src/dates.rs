//! Calendar dates as the models see them: days since 1970-01-01.

/// The first and the last valid day: 0001-01-01 and 9999-12-31.
pub(crate) const FIRST_DAY: f64 = -719_162.0;
pub(crate) const LAST_DAY: f64 = 2_932_896.0;

/// The days from 1970-01-01 to a date as ISO 8601 writes it, `YYYY-MM-DD`; None if the text is not such a date, or the
/// calendar has no such day. The years are 0001 to 9999, as in Python.
pub fn days(text: &str) -> Option<i32> {
    let (&[ref year @ .., b'-', m1, m2, b'-', d1, d2], 10) = (text.as_bytes(), text.len()) else { return None };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i32::from(digit - b'0')))
    };
    let (year, month, day) = (number(year)?, number(&[m1, m2])?, number(&[d1, d2])?);
    let exists = year >= 1 && (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    exists.then(|| days_before_year(year) + days_before_month(year, month) + day - 1 - days_before_year(1970))
}

/// The date that is so many days after 1970-01-01; None outside the years 0001 to 9999.
pub fn text(days: i32) -> Option<String> {
    let mut rest = days.checked_add(days_before_year(1970))?;
    // 400 years have 146,097 days: so it is one of the two years after this one, or this one itself
    let about = i32::try_from(i64::from(rest) * 400 / 146_097).ok()?;
    let year = (about..=about + 2).rev().find(|year| (1..=9999).contains(year) && days_before_year(*year) <= rest)?;
    rest -= days_before_year(year);
    let month = (1..=12).rev().find(|month| days_before_month(year, *month) <= rest)?;
    let day = rest - days_before_month(year, month) + 1;
    (day <= days_in_month(year, month)).then(|| format!("{year:04}-{month:02}-{day:02}"))
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        2 => 28 + i32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The number of days in the years before this one, from year 1 of the proleptic Gregorian calendar.
fn days_before_year(year: i32) -> i32 {
    let years = year - 1;
    years * 365 + years / 4 - years / 100 + years / 400
}

fn days_before_month(year: i32, month: i32) -> i32 {
    (1..month).map(|earlier| days_in_month(year, earlier)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_days_as_python_does() {
        let cases = [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2026-11-27", 20_784),
            ("0001-01-01", -719_162),
            ("9999-12-31", 2_932_896),
        ];
        for (date, number) in cases {
            assert_eq!(days(date), Some(number), "{date}");
            assert_eq!(text(number).as_deref(), Some(date));
        }
    }

    #[test]
    fn every_year_begins_and_ends_where_it_should() {
        for year in 1..=9999 {
            let first = days_before_year(year) - days_before_year(1970);
            assert_eq!(text(first), Some(format!("{year:04}-01-01")));
            assert_eq!(text(first - 1), (year > 1).then(|| format!("{:04}-12-31", year - 1)));
        }
    }

    #[test]
    fn there_are_no_other_dates() {
        for wrong in [
            "",
            "2026-11-27T00:00:00",
            "2026-1-01",
            "20261127",
            "2026-W48-5",
            "0000-01-01",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-04-31",
            "1900-02-29",
            "2023-02-29",
            " 2026-01-01",
            "+026-01-01",
            "2026-01-0１",
            "2026/01/01",
        ] {
            assert_eq!(days(wrong), None, "{wrong}");
        }
        assert_eq!([text(-719_163), text(2_932_897), text(i32::MAX), text(i32::MIN)], [const { None }; 4]);
    }
}
