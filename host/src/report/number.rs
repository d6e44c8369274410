//! Numbers as a page shows them: no more digits than the samples behind them can move, signed
//! differences with a true minus, no unit without a space that does not break.

/// No-break space, in front of units.
const NBSP: char = '\u{a0}';
/// Thin space, between thousands.
const THIN: char = '\u{2009}';

/// Decimals of a percentage that one of `samples` can move: 2 of 10 000, 1 of 500, 0 of 100.
#[must_use]
pub fn decimals(samples: Option<u64>) -> usize {
    match samples {
        Some(n) if n > 0 => ((n as f64 / 100.0).log10().ceil()).clamp(0.0, 2.0) as usize,
        _ => 2,
    }
}

/// The share `x` in percent, without its sign: `97.6`.
#[must_use]
pub fn hundredths(x: f64, decimals: usize) -> String {
    fixed(100.0 * x, decimals)
}

/// The share `x` in percent: `97.6 %`.
#[must_use]
pub fn percent(x: f64, decimals: usize) -> String {
    format!("{}{NBSP}%", hundredths(x, decimals))
}

/// `x` with so many decimals, a true minus and no minus before zero; `–` where it is no number.
#[must_use]
pub fn fixed(x: f64, decimals: usize) -> String {
    if x.is_nan() {
        return "–".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let text = format!("{:.decimals$}", x.abs());
    let is_zero = text.chars().all(|c| matches!(c, '0' | '.'));
    match x < 0.0 && !is_zero {
        true => format!("−{text}"),
        false => text,
    }
}

/// A difference of shares in points, with its sign: `+0.6`.
#[must_use]
pub fn points(x: f64, decimals: usize) -> String {
    let text = fixed(100.0 * x, decimals);
    match text.starts_with('−') || !text.contains(|c: char| ('1'..='9').contains(&c)) {
        true => text,
        false => format!("+{text}"),
    }
}

/// `n` with thin spaces between thousands: `5 308 416`.
#[must_use]
pub fn whole(n: u64) -> String {
    let digits = n.to_string();
    // Four digits are read without help.
    if digits.len() < 5 {
        return digits;
    }
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(THIN);
        }
        text.push(c);
    }
    text
}

/// `n` of something: `1 run`, `3 runs`.
#[must_use]
pub fn count(n: usize, one: &str, many: &str) -> String {
    format!(
        "{}{NBSP}{}",
        whole(n as u64),
        if n == 1 { one } else { many }
    )
}

/// `x` for people: three significant digits, or powers of ten where that is too long.
#[must_use]
pub fn short(x: f64) -> String {
    if !x.is_finite() || x == 0.0 {
        return fixed(x, 0);
    }
    let size = x.abs().log10().floor() as i32;
    match size {
        -4..=5 => {
            let places = (2 - size).clamp(0, 6) as usize;
            let text = fixed(x, places);
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
        _ => {
            let mantissa = fixed(x / 10f64.powi(size), 2);
            format!("{mantissa}·10{}", superscript(size))
        }
    }
}

fn superscript(n: i32) -> String {
    let digit = |c: char| match c {
        '-' => '⁻',
        c => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][c as usize - '0' as usize],
    };
    n.to_string().chars().map(digit).collect()
}

/// A length of time: seconds to two minutes, then minutes and seconds, then hours and minutes.
#[must_use]
pub fn seconds(s: f64) -> String {
    match s {
        s if s < 0.995 => format!("{s:.2}{NBSP}s"),
        s if s < 9.95 => format!("{s:.1}{NBSP}s"),
        s if s < 119.5 => format!("{s:.0}{NBSP}s"),
        s if s < 7170.0 => {
            let whole = s.round() as u64;
            format!("{}{NBSP}min {:02}{NBSP}s", whole / 60, whole % 60)
        }
        s => {
            let minutes = (s / 60.0).round() as u64;
            format!("{}{NBSP}h {:02}{NBSP}min", minutes / 60, minutes % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_that_one_sample_can_move() {
        assert_eq!(
            [100, 500, 1000, 10_000].map(|n| decimals(Some(n))),
            [0, 1, 1, 2]
        );
        assert_eq!(percent(0.7752, 2), "77.52\u{a0}%");
        assert_eq!(points(-0.0069, 2), "−0.69");
        assert_eq!(points(0.006, 1), "+0.6");
        assert_eq!(points(-0.000_001, 1), "0.0");
        assert_eq!(whole(5_308_416), "5\u{2009}308\u{2009}416");
        assert_eq!(
            [0.00125, 12.0, 1234.5, 2.5e9].map(short),
            ["0.00125", "12", "1234", "2.50·10⁹"]
        );
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        let all = [0.031, 4.25, 109.0, 645.0, 11_100.0].map(seconds);
        let plain = all.map(|t| t.replace(NBSP, " "));
        assert_eq!(
            plain,
            ["0.03 s", "4.2 s", "109 s", "10 min 45 s", "3 h 05 min"]
        );
    }
}
