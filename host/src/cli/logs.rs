//! Logs: to standard error, filtered by `RUST_LOG` (default: warnings).

use tracing_subscriber::EnvFilter;

/// Starts logging; `RUST_LOG=biorule=debug` says more.
pub(super) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        // Standard error may be full or closed; that is no reason to end.
        .log_internal_errors(false);
    let _ = logs.try_init();
}
