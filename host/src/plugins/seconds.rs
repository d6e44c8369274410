//! Limits of time that environment variables set.

/// The whole seconds, from 1, that the environment variable `variable` says; `usual` where it is absent
/// or says something else, with a warning.
pub(super) fn of(variable: &str, usual: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else {
        return usual;
    };
    text.parse().ok().filter(|s| *s > 0).unwrap_or_else(|| {
        tracing::warn!(
            "`{variable}` is `{text}`, expected whole seconds from 1; {usual} s are used"
        );
        usual
    })
}
