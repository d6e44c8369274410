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

#[cfg(test)]
mod tests {
    use super::*;

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
