//! What a checked plan allows but a user should know: a setting without effect, a crop that leaves
//! blank images, a metric chosen on the test set. `train` prints them as `warning: …` before
//! anything runs.

/// Warnings about a plan, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings(Vec<String>);

impl Warnings {
    /// Adds a warning: one lower-case line, literals in backticks. The same text is kept once.
    pub fn add(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.0.contains(&text) {
            self.0.push(text);
        }
    }

    /// Keeps the texts that `keep` says so of.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|text| keep(text));
    }

    /// The texts.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
