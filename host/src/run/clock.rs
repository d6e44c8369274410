//! Dates for folder names and records, in universal time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[must_use]
pub fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

/// Year, month, day of a day counted from 1970-01-01 (Howard Hinnant's
/// days-to-civil algorithm, by eras of 400 years).
fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn parts(seconds: f64) -> (i64, u32, u32, i64, i64, i64) {
    let whole = seconds.floor() as i64;
    let (year, month, day) = civil(whole.div_euclid(86_400));
    let rest = whole.rem_euclid(86_400);
    (year, month, day, rest / 3_600, rest / 60 % 60, rest % 60)
}

/// `2026-11-21T08:30:00Z`.
#[must_use]
pub fn stamp(seconds: f64) -> String {
    let (y, m, d, hh, mm, ss) = parts(seconds);
    format!("{y:04}-{m:02}-{d:02}T{hh:02}:{mm:02}:{ss:02}Z")
}

/// `20261121-083000`, for names.
#[must_use]
pub fn compact(seconds: f64) -> String {
    let (y, m, d, hh, mm, ss) = parts(seconds);
    format!("{y:04}{m:02}{d:02}-{hh:02}{mm:02}{ss:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_known_moments() {
        assert_eq!(stamp(0.0), "1970-01-01T00:00:00Z");
        assert_eq!(stamp(951_782_400.0), "2000-02-29T00:00:00Z");
        assert_eq!(stamp(1_000_000_000.5), "2001-09-09T01:46:40Z");
        assert_eq!(compact(4_102_444_799.0), "20991231-235959");
    }
}
