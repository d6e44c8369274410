//! What a test needs beyond the checkout, and what becomes of it where that is missing.
//!
//! Only variables say where things are; no test looks around in the file system. A test that
//! lacks something calls [`skip`] and returns. It then passes, prints a line that begins with
//! `skipped:`, and adds a line to the file that `BIORULE_SKIPPED` names, from which `.ci/run`
//! counts. `BIORULE_REQUIRE` lists needs, separated by commas, whose absence fails instead.

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;

/// Something that a checkout alone does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Golden vectors beside the small set of `tests/golden`, in the folder `BIORULE_GOLDEN`.
    Golden,
    /// MNIST and CIFAR-10, in the folders of `BIORULE_DATA`, separated as in `PATH`.
    Data,
    /// The values of the authors' own files, in the folder `BIORULE_SPECS`.
    Specs,
    /// An NVIDIA GPU, and a build with the feature `cuda`.
    Gpu,
    /// Python with PyTorch, named by `BIORULE_PYTHON`.
    Python,
    /// NVIDIA's run-time compiler, the library that `BIORULE_NVRTC` names.
    Nvrtc,
    /// A C++ compiler, named by `CXX` or called `c++`.
    Compiler,
    /// Chromium, named by `BIORULE_BROWSER` or called `chromium`.
    Browser,
    /// The files of the build, absent where `BIORULE_TEST_PLUGINS` names finished libraries.
    Build,
}

impl Need {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Golden,
        Self::Data,
        Self::Specs,
        Self::Gpu,
        Self::Python,
        Self::Nvrtc,
        Self::Compiler,
        Self::Browser,
        Self::Build,
    ];

    /// The word for it in `BIORULE_REQUIRE`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Golden => "golden",
            Self::Data => "data",
            Self::Specs => "specs",
            Self::Gpu => "gpu",
            Self::Python => "python",
            Self::Nvrtc => "nvrtc",
            Self::Compiler => "compiler",
            Self::Browser => "browser",
            Self::Build => "build",
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The needs in a list such as `golden,data`.
///
/// # Errors
/// A word that names no need, with the words that do: a misspelt requirement would require
/// nothing.
pub fn parse(list: &str) -> Result<Vec<Need>, String> {
    let words = list.split(',').map(str::trim).filter(|w| !w.is_empty());
    words
        .map(|word| {
            let found = Need::ALL.into_iter().find(|need| need.name() == word);
            found.ok_or_else(|| {
                let all: Vec<&str> = Need::ALL.iter().map(|need| need.name()).collect();
                format!(
                    "`BIORULE_REQUIRE` names `{word}`, which no test needs\nhint: one or more of {}",
                    all.join(", ")
                )
            })
        })
        .collect()
}

/// Says that the running test is skipped for want of `need`; the caller returns.
///
/// # Panics
/// `BIORULE_REQUIRE` lists the need, or a word that is none; or the file `BIORULE_SKIPPED`
/// cannot be written.
#[track_caller]
pub fn skip(need: Need, reason: &str) {
    let required = std::env::var("BIORULE_REQUIRE").unwrap_or_default();
    let required = parse(&required).unwrap_or_else(|error| panic!("{error}"));
    // libtest names a thread after its test, unless it runs all in the main one.
    let (thread, place) = (std::thread::current(), std::panic::Location::caller());
    let test = match thread.name() {
        Some("main") | None => place.to_string(),
        Some(name) => name.to_owned(),
    };
    assert!(
        !required.contains(&need),
        "{test}: {reason}, and `BIORULE_REQUIRE` lists `{need}`"
    );
    println!("skipped: {test}: {reason} ({need})");
    let Some(path) = std::env::var_os("BIORULE_SKIPPED") else {
        return;
    };
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.file_stem().unwrap_or_default().to_string_lossy();
    // The stem ends in Cargo's hash.
    let target = program.rsplit_once('-').map_or(&*program, |(name, _)| name);
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path);
    // One write, so that lines of tests that run at the same time stay whole.
    let line = format!("{target} {test}: {reason} ({need})\n");
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .unwrap_or_else(|e| {
            panic!(
                "`BIORULE_SKIPPED` names a file that cannot be written: {}: {e}",
                path.display()
            )
        });
}

/// The folder that `variable` names; without it the running test is skipped for want of `need`.
///
/// # Panics
/// The variable names no folder: a check that silently does nothing is worse. Or [`skip`].
#[must_use]
#[track_caller]
pub fn folder(need: Need, variable: &str) -> Option<PathBuf> {
    let Some(named) = std::env::var_os(variable).filter(|value| !value.is_empty()) else {
        skip(need, &format!("`{variable}` is not set"));
        return None;
    };
    let named = PathBuf::from(named);
    assert!(
        named.is_dir(),
        "`{variable}` names no folder: {}",
        named.display()
    );
    Some(named)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use super::*;

    #[test]
    fn a_list_of_needs_is_read_and_a_misspelt_one_is_refused() {
        assert_eq!(parse("golden, data"), Ok(vec![Need::Golden, Need::Data]));
        assert_eq!(parse(""), Ok(vec![]));
        let error = parse("golden,date").expect_err("no such need");
        assert!(
            error.contains("`date`") && error.contains("data"),
            "{error}"
        );
    }

    /// Runs the test below, which skips, in a process with these variables.
    fn skipping(variables: &[(&str, &str)]) -> Output {
        let mut program = Command::new(std::env::current_exe().expect("a test has a path"));
        program.args(["--exact", "tests::skips_where_it_is_told_to"]);
        program.arg("--test-threads=2");
        for name in ["BIORULE_REQUIRE", "BIORULE_SKIPPED", "BIORULE_GOLDEN"] {
            program.env_remove(name);
        }
        let variables = variables.iter().copied();
        let output = program.env("BIORULE_TEST_SKIPS", "1").envs(variables);
        output.output().expect("the test starts again")
    }

    #[test]
    fn skips_where_it_is_told_to() {
        if std::env::var_os("BIORULE_TEST_SKIPS").is_some() {
            assert_eq!(folder(Need::Golden, "BIORULE_GOLDEN"), None);
        }
    }

    #[test]
    fn a_skipped_test_passes_and_is_counted() {
        let name = format!("biorule-skipped-{}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let ran = skipping(&[("BIORULE_SKIPPED", &file.to_string_lossy())]);
        let counted = std::fs::read_to_string(&file).unwrap_or_default();
        let _ = std::fs::remove_file(&file);
        assert!(ran.status.success());
        let line = "biorule_test_environment tests::skips_where_it_is_told_to: \
                    `BIORULE_GOLDEN` is not set (golden)\n";
        assert_eq!(counted, line);
    }

    #[test]
    fn a_required_need_that_is_missing_fails_as_does_a_word_that_is_none() {
        for (required, passes) in [("data", true), ("data,golden", false), ("gold", false)] {
            let ran = skipping(&[("BIORULE_REQUIRE", required)]);
            assert_eq!(ran.status.success(), passes, "{required}");
        }
    }

    #[test]
    fn a_variable_that_names_no_folder_fails() {
        let ran = skipping(&[("BIORULE_GOLDEN", "/no/such/folder")]);
        assert!(!ran.status.success());
    }
}
