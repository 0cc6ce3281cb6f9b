//! Dates as files write them.

/// A moment, in days since the first of January 1970, 0 o'clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Date {
    pub(super) days: f64,
    /// Whether a time of day stood beside the date.
    pub(super) timed: bool,
}

/// Features of a date besides its days: sine and cosine of its place in the year, in the week, and in the
/// day.
pub(super) const CYCLES: [(&str, f64); 3] = [("year", 365.2425), ("week", 7.0), ("day", 1.0)];

impl Date {
    /// Reads `2024-12-31`, `2024/12/31` and `31.12.2024`, with a time behind a `T` or a space or without
    /// one. What stands first in `12/31/2024` depends on the country, so that is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, time) = match text.split_once(['T', 't', ' ']) {
            Some((date, time)) => (date, Some(time.trim())),
            None => (text, None),
        };
        let mark = ['-', '/', '.'].into_iter().find(|&mark| date.contains(mark))?;
        let mut parts = date.split(mark);
        let (first, month, last) = (parts.next()?, parts.next()?, parts.next()?);
        let (year, day) = if mark == '.' { (last, first) } else { (first, last) };
        if parts.next().is_some() || year.len() != 4 {
            return None;
        }
        let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let of_month = match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            _ => return None,
        };
        if !(1..=of_month).contains(&day) {
            return None;
        }
        let of_day = match time {
            Some(time) => seconds(time)? / 86_400.0,
            None => 0.0,
        };
        let days = days_since_1970(year, month, day) as f64 + of_day;
        Some(Self { days, timed: time.is_some() })
    }
}

/// Digits only, at most so many.
fn number(text: &str, most: usize) -> Option<i64> {
    let digits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Seconds since the day began: `23:59`, `23:59:59`, `23:59:59.5`, with a `Z` or an offset such as `+02:00`
/// behind, by which they are taken to that of Greenwich.
fn seconds(text: &str) -> Option<f64> {
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let (text, offset) = match text.rfind(['+', '-']) {
        Some(at) => {
            let (clock, offset) = text.split_at_checked(at)?;
            let sign = if offset.starts_with('-') { -1.0 } else { 1.0 };
            let offset = offset.get(1..)?;
            let (hours, minutes) = match offset.split_once(':') {
                Some((hours, minutes)) => (hours, minutes),
                None if offset.len() == 4 => offset.split_at_checked(2)?,
                None => (offset, "0"),
            };
            (clock, sign * (number(hours, 2)? * 3600 + number(minutes, 2)? * 60) as f64)
        }
        None => (text, 0.0),
    };
    let mut parts = text.split(':');
    let (hours, minutes) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().unwrap_or("0");
    let (whole, fraction) = second.split_once('.').unwrap_or((second, "0"));
    if parts.next().is_some() || fraction.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let whole = number(whole, 2)?;
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    // 60 is a leap second's.
    if hours > 23 || minutes > 59 || whole > 60 {
        return None;
    }
    Some((hours * 3600 + minutes * 60 + whole) as f64 + fraction - offset)
}

/// Days since the first of January 1970 in the Gregorian calendar, of a year from 0 to 9999 (Hinnant,
/// *chrono-compatible low-level date algorithms*, 2021): years begin in March there, so that a leap day is
/// the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days() {
        for (text, days) in [
            ("1970-01-01", 0.0),
            ("1969-12-31", -1.0),
            ("2000-02-29", 11_016.0),
            ("2000-03-01", 11_017.0),
            ("2024-12-31", 20_088.0),
            ("2024/12/31", 20_088.0),
            ("31.12.2024", 20_088.0),
            ("1.2.2024", 19_754.0),
            ("0000-03-01", -719_468.0),
            ("1970-01-02T12:00:00", 1.5),
            ("1970-01-02 12:00", 1.5),
            ("1970-01-02T12:00:00.000Z", 1.5),
            ("1970-01-02T12:00:00+06:00", 1.25),
            ("1970-01-02T12:00:00-0600", 1.75),
        ] {
            assert_eq!(Date::parse(text).map(|date| date.days), Some(days), "{text:?}");
        }
        // Every day of four centuries comes one after the day before.
        let mut expected = days_since_1970(1900, 1, 1);
        for year in 1900..2300 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(date) = Date::parse(&format!("{year}-{month:02}-{day:02}")) {
                        assert_eq!(date.days, expected as f64, "{year}-{month}-{day}");
                        expected += 1;
                    }
                }
            }
        }
        assert_eq!(expected - days_since_1970(1900, 1, 1), 146_097);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "12/31/2024",
            "31/12/2024",
            "2024-13-01",
            "2023-02-29",
            "1900-02-29",
            "2024-00-10",
            "2024-01-00",
            "24-01-01",
            "2024-1",
            "20240131",
            "1.5",
            "2024-01-01T24:00",
            "2024-01-01T12",
            "2024-01-01Tx",
            "2024-01-01T12:60",
            "2024-01-01-01",
            "a-b-c",
            "2024-01-01T12:00+",
            "2024-01-01T12:00:",
            "+024-01-01",
            "2024-01-01T12:00:00.x",
            "32.12.2024",
            "ä-ö-ü",
            "2024-01-01Tä-öü",
        ] {
            assert_eq!(Date::parse(text), None, "{text:?}");
        }
    }
}
