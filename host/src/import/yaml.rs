//! The part of YAML that configuration files of experiments are written in: tables by indentation, lists
//! in brackets or with dashes, words, numbers, quotes and comments. What goes beyond it (anchors, tags,
//! texts over several lines) is refused with its line, not guessed at.

use serde_json::{Map, Number, Value};

use crate::{Error, Result};

/// A line with something on it.
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// Reads `text`, a table.
///
/// # Errors
/// Usage error with the line.
pub(super) fn read(text: &str) -> Result<Map<String, Value>> {
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let kept = without_comment(line).trim_end();
        let body = kept.trim_start();
        if body.is_empty() || (lines.is_empty() && body == "---") {
            continue;
        }
        let number = at + 1;
        if kept.len() > body.len() && kept[..kept.len() - body.len()].contains('\t') {
            return Err(wrong(number, "is indented by a tab"));
        }
        lines.push(Line {
            number,
            indent: kept.len() - body.len(),
            text: body,
        });
    }
    let mut at = 0;
    let table = table(&lines, &mut at, 0)?;
    match lines.get(at) {
        Some(line) => Err(wrong(
            line.number,
            "does not stand below what comes before it",
        )),
        None => Ok(table),
    }
}

fn wrong(line: usize, what: &str) -> Error {
    Error::usage(format!("line {line} {what}"))
        .hint("of YAML, tables, lists, words and numbers are read")
}

/// The line up to a `#` outside quotes that stands at its start or behind a space.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '#' && before.is_whitespace() => return &line[..at],
            None => {}
        }
        before = c;
    }
    line
}

fn table(lines: &[Line<'_>], at: &mut usize, indent: usize) -> Result<Map<String, Value>> {
    let mut all = Map::new();
    while let Some(line) = lines.get(*at).filter(|line| line.indent >= indent) {
        if line.indent > indent {
            return Err(wrong(
                line.number,
                "is indented further than its neighbours",
            ));
        }
        let Some((key, rest)) = key_of(line.text) else {
            return Err(wrong(line.number, "has no `key:`"));
        };
        if all.contains_key(&key) {
            return Err(wrong(line.number, &format!("has `{key}` a second time")));
        }
        *at += 1;
        let value = match rest {
            "" => inner(lines, at, indent)?,
            word => scalar(word, line.number)?,
        };
        all.insert(key, value);
    }
    Ok(all)
}

/// What stands below a key without a value.
fn inner(lines: &[Line<'_>], at: &mut usize, indent: usize) -> Result<Value> {
    let Some(next) = lines.get(*at) else {
        return Ok(Value::Null);
    };
    // A list may stand as far to the left as its key.
    if next.indent >= indent && is_item(next.text) {
        return list(lines, at, next.indent).map(Value::Array);
    }
    match next.indent > indent {
        true => table(lines, at, next.indent).map(Value::Object),
        false => Ok(Value::Null),
    }
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

fn list(lines: &[Line<'_>], at: &mut usize, indent: usize) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    while let Some(line) = lines
        .get(*at)
        .filter(|line| line.indent == indent && is_item(line.text))
    {
        let word = line.text[1..].trim();
        if key_of(word).is_some() {
            return Err(wrong(line.number, "is a table in a list"));
        }
        all.push(scalar(word, line.number)?);
        *at += 1;
    }
    Ok(all)
}

/// `key: rest`.
fn key_of(text: &str) -> Option<(String, &str)> {
    let (key, rest) = text
        .split_once(": ")
        .or_else(|| Some((text.strip_suffix(':')?, "")))?;
    let key = key.trim();
    let key = key.trim_matches(['"', '\'']);
    (!key.is_empty() && !key.starts_with(['[', '{'])).then(|| (key.to_owned(), rest.trim()))
}

fn scalar(word: &str, line: usize) -> Result<Value> {
    if let Some(items) = word.strip_prefix('[') {
        let Some(items) = items.strip_suffix(']') else {
            return Err(wrong(line, "has a list that does not end on it"));
        };
        let items = items
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        return items
            .map(|item| scalar(item, line))
            .collect::<Result<Vec<_>>>()
            .map(Value::Array);
    }
    for quote in ['"', '\''] {
        if let Some(rest) = word.strip_prefix(quote) {
            return match rest.strip_suffix(quote) {
                Some(inside) if !inside.contains(quote) => Ok(Value::String(inside.to_owned())),
                _ => Err(wrong(line, "has quotes that do not match")),
            };
        }
    }
    if word.starts_with(['&', '*', '!', '|', '>', '{', '@', '`', '%']) {
        return Err(wrong(line, &format!("has `{word}`, which is not read")));
    }
    Ok(match word {
        "null" | "Null" | "NULL" | "~" | "" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        word => match (word.parse::<i64>(), word.parse::<f64>()) {
            (Ok(n), _) => Value::Number(n.into()),
            (_, Ok(x)) => {
                Number::from_f64(x).map_or_else(|| Value::String(word.to_owned()), Value::Number)
            }
            _ => Value::String(word.to_owned()),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_lists_and_scalars_are_read() {
        let text = "---\n# head\na:\n  b: \"x # y\"  # comment\n  c: [1, 2.5, 'z']\n  list:\n  - 3\n  - true\nd: null\ne:\nf: 1e-4\n";
        let expected = json!({
            "a": {"b": "x # y", "c": [1, 2.5, "z"], "list": [3, true]},
            "d": null, "e": null, "f": 1e-4,
        });
        assert_eq!(Value::Object(read(text).unwrap()), expected);
    }

    #[test]
    fn what_is_not_read_is_refused_with_its_line() {
        for (text, line) in [
            ("a: 1\n b: 2\n", "line 2"),
            ("a:\n\tb: 1\n", "line 2"),
            ("a: &x 1\n", "line 1"),
            ("a: 1\nwords\n", "line 2"),
            ("a: [1,\n 2]\n", "line 1"),
            ("a: 1\na: 2\n", "line 2"),
            ("a: \"x\n", "line 1"),
            ("a: |\n  text\n", "line 1"),
            ("a:\n- b: 1\n", "line 2"),
        ] {
            let e = read(text).unwrap_err();
            assert!(e.text.starts_with(line), "{text}: {e}");
        }
    }
}
