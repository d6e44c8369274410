//! What a rule's author starts from: a crate of its own with a rule that works.

mod interface;

use std::fs;
use std::path::{Path, PathBuf};

pub use interface::FOLDER;

use crate::{Error, ExitCode, Result};

/// What a new rule is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Learns from its own input and output.
    #[default]
    Local,
    /// An error arrives from above, another one goes below.
    Feedback,
    /// The output's error is broadcast.
    Direct,
    /// Learns from its own input and output and the labels.
    Supervised,
}

impl Kind {
    /// As the flag has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Feedback => "feedback",
            Self::Direct => "direct",
            Self::Supervised => "supervised",
        }
    }

    /// Rule, tests, vectors and the script of the vectors.
    fn files(self) -> [&'static str; 4] {
        macro_rules! of {
            ($word:literal) => {
                [
                    include_str!(concat!("template/", $word, ".rs")),
                    include_str!(concat!("template/tests_", $word, ".rs")),
                    include_str!(concat!("template/vectors_", $word, ".txt")),
                    include_str!(concat!("template/make_", $word, ".py")),
                ]
            };
        }
        match self {
            Self::Local => of!("local"),
            Self::Feedback => of!("feedback"),
            Self::Direct => of!("direct"),
            Self::Supervised => of!("supervised"),
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Local => "The rule is Oja's as yet: local, without labels.",
            Self::Feedback => "The rule is feedback alignment as yet.",
            Self::Direct => "The rule is direct feedback alignment on dense layers as yet.",
            Self::Supervised => {
                "The rule is a delta rule towards random codes of the classes as yet: local, with labels."
            }
        }
    }
}

/// Names that no crate may have, or that would be taken for something else.
const TAKEN: [&str; 8] = [
    "test",
    "core",
    "std",
    "alloc",
    "build",
    "deps",
    "examples",
    "biorule-plugin-api",
];

/// Makes a crate named `name` in `folder`, which must not be there yet. Gives the files of interest to
/// its author, in the order to read them.
///
/// # Errors
/// Usage error for a name that cannot be one or a folder that is there; storage error where the disk
/// refuses.
pub fn create(name: &str, kind: Kind, folder: &Path) -> Result<Vec<PathBuf>> {
    check(name)?;
    if folder.exists() {
        let text = format!("`{}` is there already", folder.display());
        return Err(Error::usage(text).hint("choose another name, or another folder with `--dir`"));
    }
    let fill = |text: &str| filled(text, name, kind);
    let [rule, tests, vectors, script] = kind.files();
    let tests = [include_str!("template/tests_head.rs"), tests].concat();
    let files = [
        ("src/lib.rs", fill(rule)),
        ("tests/rule.rs", fill(&tests)),
        ("tests/golden/vectors.txt", vectors.to_owned()),
        ("tests/golden/make.py", fill(script)),
        ("digits.toml", fill(include_str!("template/digits.toml"))),
        ("README.md", fill(include_str!("template/readme.md"))),
        ("Cargo.toml", fill(include_str!("template/manifest.toml"))),
        ("Cargo.lock", interface::lock(name)),
        (".gitignore", "/target\n/runs\n".to_owned()),
        (
            ".github/workflows/ci.yml",
            fill(include_str!("template/ci.yml")),
        ),
    ];
    let failed = |e: std::io::Error| Error::io(ExitCode::Storage, folder, &e);
    for (file, text) in &files {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
        fs::write(path, text).map_err(failed)?;
    }
    interface::unpack(&folder.join(FOLDER)).map_err(failed)?;
    Ok(files
        .iter()
        .take(5)
        .map(|(file, _)| folder.join(file))
        .collect())
}

fn check(name: &str) -> Result<()> {
    let first = name.chars().next().unwrap_or('-');
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = first.is_ascii_lowercase() && name.chars().all(allowed) && !name.ends_with('-');
    if !good {
        let error = Error::usage(format!("`{name}` cannot be the name of a rule's crate"));
        return Err(
            error.hint("lower-case letters, digits and `-`, with a letter first: `my-rule`")
        );
    }
    if TAKEN.contains(&name) {
        return Err(Error::usage(format!("`{name}` is taken")).hint("choose another name"));
    }
    Ok(())
}

/// `my-rule` as `MyRule`.
fn type_name(name: &str) -> String {
    let upper = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(upper).collect()
}

fn filled(text: &str, name: &str, kind: Kind) -> String {
    let lib = name.replace('-', "_");
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let local = matches!(kind, Kind::Local | Kind::Supervised);
    text.replace("{{name}}", name)
        .replace("{{type}}", &type_name(name))
        .replace("{{crate}}", &lib)
        .replace("{{file}}", &format!("{prefix}{lib}{suffix}"))
        .replace("{{kind}}", kind.word())
        .replace("{{what}}", kind.what())
        .replace(
            "{{params}}",
            match kind {
                // All units of Oja's rule turn to one direction; slowly, they are still apart.
                Kind::Local => ", lr = 0.0001",
                Kind::Supervised => ", lr = 0.02",
                Kind::Feedback | Kind::Direct => "",
            },
        )
        .replace("{{readout}}", if local { "backprop" } else { name })
        .replace("{{mode}}", if local { "successive" } else { "end-to-end" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates_and_types() {
        assert_eq!(type_name("my-first-rule2"), "MyFirstRule2");
        for bad in ["", "My-rule", "2rules", "a b", "rule-", "../x", "test"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        check("my-rule").expect("a good name");
    }

    #[test]
    fn no_placeholder_is_left() {
        for kind in [Kind::Local, Kind::Feedback, Kind::Direct, Kind::Supervised] {
            let folder = tempfile::tempdir().expect("a folder");
            let files = create("my-rule", kind, &folder.path().join("r")).expect("made");
            for file in files {
                let text = fs::read_to_string(file).expect("text");
                assert!(!text.contains("{{"), "{text}");
            }
        }
    }
}
