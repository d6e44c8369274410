//! Logs: to standard error, filtered by `RUST_LOG` (default: warnings).

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging; `RUST_LOG=biorule=debug` says more.
pub(super) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let logs = tracing_subscriber::fmt()
        .with_ansi(is_coloured(std::io::stderr().is_terminal()))
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        // Standard error may be full or closed; that is no reason to end.
        .log_internal_errors(false);
    let _ = logs.try_init();
}

/// Whether text for people may hold colours, by what the environment says (no-color.org,
/// bixense.com/clicolors) and else by whether they read it on a terminal.
fn is_coloured(terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let is = |name: &str, value: &str| std::env::var_os(name).is_some_and(|v| v == value);
    if set("NO_COLOR") {
        return false;
    }
    if set("CLICOLOR_FORCE") && !is("CLICOLOR_FORCE", "0") {
        return true;
    }
    terminal && !is("CLICOLOR", "0") && !is("TERM", "dumb")
}
