//! Environment variables that somebody set for this program and that nothing reads.

use super::warn::warn_once;
use crate::config;
use crate::text::nearest;

/// Variables that the program reads, beside settings (`BIORULE__…`).
const READ: [&str; 10] = [
    "BIORULE_CACHE",
    "BIORULE_CUDA_PATH",
    "BIORULE_DATA",
    "BIORULE_GPU_TIMES",
    "BIORULE_PLUGIN_ALLOW",
    "BIORULE_PLUGIN_PATH",
    "BIORULE_PLUGIN_SECONDS",
    "BIORULE_PLUGIN_STORE",
    "BIORULE_RULE_SECONDS",
    "BIORULE_TRIAL_ID",
];

/// Variables of the test suite (CONTRIBUTING.md), which the program inherits from it.
const OF_TESTS: [&str; 14] = [
    "BIORULE_FUZZ_",
    "BIORULE_GOLDEN",
    "BIORULE_HEADER",
    "BIORULE_NVRTC",
    "BIORULE_PYTHON",
    "BIORULE_REQUIRE",
    "BIORULE_SKIPPED",
    "BIORULE_SPECIMEN",
    "BIORULE_SPECS",
    "BIORULE_TEST_DEVICE",
    "BIORULE_TEST_LOCK",
    "BIORULE_TEST_PLUGINS",
    "BIORULE_TEST_SKIPS",
    "BIORULE_WRITE_LOCK",
];

/// Other names for what there is.
const MEANT: [(&str, &str); 4] = [
    ("BIORULE_PLUGINS", "BIORULE_PLUGIN_PATH"),
    ("BIORULE_PLUGIN_FOLDERS", "BIORULE_PLUGIN_PATH"),
    ("BIORULE_LOG", "RUST_LOG"),
    ("BIORULE_RUNS", "BIORULE__OUTPUT__RUNS"),
];

/// What the program and the libraries in it log under.
const LOGGED: [&str; 7] = [
    "biorule",
    "rule",
    "ureq",
    "ureq_proto",
    "rustls",
    "candle_core",
    "candle_nn",
];

/// Warns about each of them.
pub(super) fn check() {
    for (name, _) in std::env::vars_os() {
        if let Some(text) = name.to_str().and_then(unread) {
            warn_once(&text);
        }
    }
    if let Some(text) = std::env::var("RUST_LOG").ok().and_then(|v| unheard(&v)) {
        warn_once(&text);
    }
}

/// What to say of a variable that looks as if it were ours.
fn unread(name: &str) -> Option<String> {
    let ours = name.starts_with("BIORULE_") && !name.starts_with(config::ENVIRONMENT);
    let of_tests = OF_TESTS.iter().any(|known| name.starts_with(known));
    // What looks like a setting is told by the commands that read settings.
    if !ours || of_tests || READ.contains(&name) || config::meant_variable(name).is_some() {
        return None;
    }
    let other = MEANT.iter().find(|(word, _)| *word == name);
    let meant = other
        .map(|(_, meant)| *meant)
        .or_else(|| nearest(name, READ));
    let text = format!("the environment variable `{name}` has no effect: nothing reads it");
    Some(match meant {
        Some(meant) => format!("{text}; did you mean `{meant}`?"),
        None => text,
    })
}

/// What to say of a `RUST_LOG` that cannot be read, or that asks for what nobody logs.
fn unheard(filter: &str) -> Option<String> {
    if let Err(e) = filter.parse::<tracing_subscriber::EnvFilter>() {
        return Some(format!(
            "`RUST_LOG` is `{filter}`, which cannot be read ({e}): warnings and errors are logged"
        ));
    }
    const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];
    filter.split(',').map(str::trim).find_map(|directive| {
        let target = directive.split(['=', '[']).next().unwrap_or_default();
        let root = target.split("::").next().unwrap_or_default();
        let level = LEVELS.contains(&root.to_lowercase().as_str()) || root.parse::<u8>().is_ok();
        if root.is_empty() || level || LOGGED.contains(&root) {
            return None;
        }
        let meant = nearest(root, LEVELS.into_iter().chain(LOGGED));
        let hint = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
        Some(format!(
            "`RUST_LOG` asks for `{directive}`, under which nothing is logged{hint}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_nothing_reads_are_told_with_what_was_meant() {
        for (name, meant) in [
            ("BIORULE_PLUGINS", "`BIORULE_PLUGIN_PATH`"),
            ("BIORULE_PLUGIN_PTH", "`BIORULE_PLUGIN_PATH`"),
            ("BIORULE_LOG", "`RUST_LOG`"),
            ("BIORULE_WHATEVER", "nothing reads it"),
        ] {
            let text = unread(name).unwrap_or_default();
            assert!(text.contains(name) && text.contains(meant), "{text}");
        }
        let quiet = [
            "BIORULE_DATA",
            "BIORULE__SEED",
            "BIORULE_SEED",
            "BIORULE_FUZZ_RUNS",
            "OTHER",
        ];
        for name in quiet {
            assert_eq!(unread(name), None);
        }
    }

    #[test]
    fn log_filters_that_say_nothing_are_told() {
        for good in [
            "debug",
            "biorule=debug",
            "warn,rule=trace",
            "off",
            "",
            "DEBUG",
        ] {
            assert_eq!(unheard(good), None, "{good}");
        }
        for (bad, word) in [
            ("biorule=loud", "cannot be read"),
            ("verbose", "nothing is logged"),
            ("biorul=debug", "`biorule`"),
            ("info,dbug", "`debug`"),
        ] {
            let text = unheard(bad).unwrap_or_default();
            assert!(text.contains(word), "{bad}: {text}");
        }
    }
}
