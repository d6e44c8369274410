//! Values as TOML has them.

/// A number with a point, so that it is one again when it is read.
pub(super) fn number(x: f64) -> String {
    toml::Value::Float(x).to_string()
}

/// Words in quotes.
pub(super) fn quoted(word: &str) -> String {
    toml::Value::String(word.to_owned()).to_string()
}

/// What can name a folder, from any words.
pub(super) fn name(words: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() || "._-+@".contains(c) {
        true => c,
        false => '-',
    };
    let name: String = words.chars().map(plain).collect();
    let name = name.trim_matches(['-', '.']).to_owned();
    if name.is_empty() {
        "imported".to_owned()
    } else {
        name
    }
}
