//! A setting: key, kind, default, range, unit, meaning and source.

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Words.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number, 0 or more.
    Whole,
    /// A number.
    Number,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One whole number for both axes, or `[rows, columns]`.
    Pair,
    /// One number, `[rows, columns]`, `[top, bottom, left, right]` or `"same"`.
    Sides,
    /// Whole numbers in brackets.
    Wholes,
    /// Numbers in brackets.
    Numbers,
    /// Words in brackets.
    Texts,
    /// A number, or an expression of where the phase stands.
    Formula,
    /// A number, or a fraction such as `8/255`.
    Fraction,
    /// Whole numbers or words in brackets.
    Labels,
    /// What the text says.
    Described,
    /// This word, or numbers in brackets.
    WordOrNumbers(&'static str),
    /// A number, or a table with a number under this key alone.
    NumberOr(&'static str),
    /// A table of its own; the text says which section describes it.
    Table(&'static str),
    /// A list of tables; the text says which section describes one.
    Tables(&'static str),
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Default as TOML text; empty where there is none.
    pub default: &'static str,
    /// Inclusive limits of numbers.
    pub range: Option<(f64, f64)>,
    /// Unit, empty where there is none.
    pub unit: &'static str,
    /// One line: what it does.
    pub doc: &'static str,
    /// Where it comes from: equation, paper or project; empty for our own.
    pub source: &'static str,
}

impl Setting {
    /// A setting without range, unit or source.
    #[must_use]
    pub const fn new(
        key: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            key,
            kind,
            default,
            range: None,
            unit: "",
            doc,
            source: "",
        }
    }
    /// The same with inclusive limits.
    #[must_use]
    pub const fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }
    /// The same with a lower limit.
    #[must_use]
    pub const fn min(self, low: f64) -> Self {
        self.range(low, f64::INFINITY)
    }
    /// The same with another default.
    #[must_use]
    pub const fn default_of(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }
    /// The same with a unit.
    #[must_use]
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }
    /// The same with its source.
    #[must_use]
    pub const fn source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }
}

/// A table of settings with its place in a configuration.
#[derive(Clone, Copy, Debug)]
pub struct SectionDoc {
    /// Where it stands, such as `blocks[]`.
    pub place: &'static str,
    /// What it is for, and its short form where it has one.
    pub doc: &'static str,
    /// Its settings.
    pub settings: &'static [Setting],
}

/// `place` without the kind in parentheses.
#[must_use]
pub fn base(place: &str) -> &str {
    match place.strip_prefix('(') {
        Some(_) => place,
        None => place.split(" (").next().unwrap_or(place),
    }
}

/// The setting `key` of `settings`, for a table that has it with another default.
#[must_use]
pub const fn setting_of(settings: &[Setting], key: &str) -> Setting {
    let mut at = 0;
    while at < settings.len() {
        if same(settings[at].key, key) {
            return settings[at];
        }
        at += 1;
    }
    panic!("no such setting")
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}
