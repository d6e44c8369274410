//! Numbers as people read them.

/// `x` with four decimals, or where that is too long or says nothing, in powers of ten:
/// `0.1250`, `1.35e21`, `2.10e-5`.
#[must_use]
pub fn readable(x: f64) -> String {
    match x.abs() {
        0.0 => "0.0000".to_owned(),
        size if (1e-3..1e6).contains(&size) || !size.is_finite() => format!("{x:.4}"),
        _ => format!("{x:.2e}"),
    }
}

/// `bytes` in the unit that suits their size.
#[must_use]
pub fn human(bytes: u128) -> String {
    const UNITS: [&str; 7] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut size = bytes as f64;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} bytes"),
        _ if size >= 1e6 => format!("{size:.1e} {}", UNITS[unit]),
        _ if size < 10.0 => format!("{size:.1} {}", UNITS[unit]),
        _ => format!("{size:.0} {}", UNITS[unit]),
    }
}

/// `seconds` in the unit that suits their length: `45 s`, `23 min`, `8.5 h`, `12 days`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let (size, unit) = match seconds {
        s if s < 99.5 => (s, "s"),
        s if s < 99.5 * 60.0 => (s / 60.0, "min"),
        s if s < 72.0 * 3600.0 => (s / 3600.0, "h"),
        s => (s / 86_400.0, "days"),
    };
    match size {
        size if size < 9.95 => format!("{} {unit}", (10.0 * size).round() / 10.0),
        size => format!("{size:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_unit_that_suits_them() {
        let all = [
            0.44,
            45.0,
            100.0,
            1_380.0,
            30_600.0,
            40.0 * 3600.0,
            1e6,
            1e8,
        ];
        let texts = all.map(duration);
        let expected = [
            "0.4 s",
            "45 s",
            "1.7 min",
            "23 min",
            "8.5 h",
            "40 h",
            "12 days",
            "1157 days",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn every_size_is_short() {
        let all = [
            0.125,
            -2.5,
            0.0,
            1_348_823_532_837_115_789_312.0,
            2.1e-5,
            999_999.0,
        ];
        let texts: Vec<String> = all.into_iter().map(readable).collect();
        let expected = [
            "0.1250",
            "-2.5000",
            "0.0000",
            "1.35e21",
            "2.10e-5",
            "999999.0000",
        ];
        assert_eq!(texts, expected);
        assert_eq!(readable(f64::NAN), "NaN");
        assert_eq!(readable(f64::NEG_INFINITY), "-inf");
    }
}
