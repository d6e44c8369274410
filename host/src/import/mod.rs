//! Configurations of other projects as ours: what their file or flags say becomes the text of a
//! configuration that a person could have written. Every wish of the source acts, is refused, or is
//! noted; nothing is lost without a word.

pub mod bioflax;
pub mod biopytorch;
pub mod biotorch;
mod flags;
pub mod softhebb;
mod text;
mod yaml;

/// A configuration made from another project's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// TOML, with the notes as comments at its head.
    pub text: String,
    /// What has no counterpart here, or another one than its name suggests.
    pub notes: Vec<String>,
}

impl Imported {
    /// From the body of a configuration, its first line and the notes.
    fn new(title: &str, notes: Vec<String>, body: &str) -> Self {
        let mut text = format!("# {title}\n");
        for note in &notes {
            text.push_str(&format!("# Note: {note}\n"));
        }
        text.push_str(&format!("\n{}\n", body.trim_matches('\n')));
        Self { text, notes }
    }
}
