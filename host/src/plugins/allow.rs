//! A list of libraries that may be opened, for machines that several people share.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use super::candidate::Candidate;
use super::refusal::{LoadError, Stage};

/// Environment variable: a file with the SHA-256 of each library that may be opened, one a line; what
/// follows the digest on a line is for readers. Absent, every library may.
pub const VARIABLE: &str = "BIORULE_PLUGIN_ALLOW";

/// The list, or why it cannot be read: then nothing is opened.
static LIST: LazyLock<Option<Result<HashSet<String>, String>>> = LazyLock::new(|| {
    let file = PathBuf::from(std::env::var_os(VARIABLE)?);
    Some(match std::fs::read_to_string(&file) {
        Ok(text) => Ok(digests(&text)),
        Err(e) => Err(format!("`{}` cannot be read: {e}", file.display())),
    })
});

fn digests(text: &str) -> HashSet<String> {
    let words = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let digests = words.filter(|word| !word.starts_with('#'));
    digests.map(str::to_ascii_lowercase).collect()
}

/// Whether `file` may be opened.
///
/// # Errors
/// There is a list, and it does not hold the file's digest.
pub(super) fn permitted(file: &Candidate) -> Result<(), LoadError> {
    let reason = match &*LIST {
        None => return Ok(()),
        Some(Ok(list)) if list.contains(&file.sha256) => return Ok(()),
        Some(Ok(_)) => format!(
            "its digest {} is not on the list of `{VARIABLE}`",
            file.sha256
        ),
        Some(Err(why)) => format!("the list of `{VARIABLE}`: {why}"),
    };
    Err(LoadError {
        path: file.path.clone(),
        stage: Stage::Open,
        reason,
        hint: format!(
            "who keeps the list can add the line `{}  {}`",
            file.sha256,
            file.path.file_name().unwrap_or_default().to_string_lossy()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_digests_with_words_behind_them() {
        let list = digests("# ours\nABC  libmine.so\n\ndef\n");
        assert_eq!(list, HashSet::from(["abc".to_string(), "def".to_string()]));
    }
}
