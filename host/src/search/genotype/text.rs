//! DARTS's text form, as its programs write and log it:
//! `Genotype(normal=[('sep_conv_3x3', 1), …], normal_concat=range(2, 6), reduce=[…],
//! reduce_concat=[2, 3, 4, 5])`. Two entries are a node. A rule is the suffix that BioNAS gives
//! it (`sep_conv_3x3_fr`), or `@` and its name.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::model::{Cell, Edge, Genotype, MOST_NODES};
use crate::search::space::{Hyperparameters, Operation, Primitive, Skeleton, sets};
use crate::text::nearest;
use crate::{Error, Result};

/// Edges of a node.
const DEGREE: usize = 2;
/// Nodes that are inputs.
const INPUTS: usize = 2;
/// What starts a genotype.
const CALL: &str = "Genotype(";
const FIELDS: [&str; 4] = ["normal", "normal_concat", "reduce", "reduce_concat"];

/// A primitive by DARTS's or BioNAS's name, or as `operation@rule`.
fn primitive(name: &str) -> Result<Primitive> {
    let known = name.parse::<Primitive>();
    let Some((operation, suffix)) = name.rsplit_once('_').filter(|_| known.is_err()) else {
        return known;
    };
    let Ok(operation) = Operation::named(operation) else {
        return known;
    };
    let suffixes: &[(&str, &str)] = match operation {
        Operation::Skip => &sets::SKIP_SUFFIXES,
        _ if operation.has_slots() => &sets::SUFFIXES,
        _ => &[],
    };
    match suffixes.iter().find(|(own, _)| *own == suffix) {
        Some((_, rule)) => Ok(Primitive::new(operation, rule)),
        None => known,
    }
}

/// The name of a primitive, BioNAS's where it has one.
fn name(primitive: &Primitive) -> String {
    let suffixes: &[(&str, &str)] = match primitive.operation {
        Operation::Skip => &sets::SKIP_SUFFIXES,
        _ => &sets::SUFFIXES,
    };
    let rule = primitive.rule.as_deref();
    match suffixes.iter().find(|(_, own)| Some(*own) == rule) {
        Some((suffix, _)) => format!("{}_{suffix}", primitive.operation),
        None => primitive.to_string(),
    }
}

/// Writes the text form, which has two edges at each node and no hyperparameters.
pub(super) fn write(genotype: &Genotype) -> Result<String> {
    let mut parts = Vec::new();
    if let Some(rule) = genotype.params.iter().find(|(_, own)| !own.is_empty()) {
        return Err(Error::usage(format!(
            "DARTS's text has no place for the hyperparameters of `{}`",
            rule.0
        ))
        .hint("write JSON"));
    }
    for (kind, cell) in &genotype.cells {
        let nodes = INPUTS..cell.end();
        if let Some(node) = nodes.clone().find(|n| cell.at(*n).count() != DEGREE) {
            return Err(Error::usage(format!(
                "node {node} of cell `{kind}` has {} edges, and DARTS's text {DEGREE} for each",
                cell.at(node).count()
            ))
            .hint("write JSON"));
        }
        let edge = |e: &Edge| format!("('{}', {})", name(&e.op), e.from);
        let edges: Vec<String> = nodes.flat_map(|n| cell.at(n)).map(edge).collect();
        parts.push(format!("{kind}=[{}]", edges.join(", ")));
        let first = cell.concat.first().copied().unwrap_or_default();
        let end = first + cell.concat.len();
        let mut concat = String::new();
        let _ = match cell.concat.iter().copied().eq(first..end) {
            true => write!(concat, "range({first}, {end})"),
            false => write!(concat, "{:?}", cell.concat),
        };
        parts.push(format!("{kind}_concat={concat}"));
    }
    Ok(format!("{CALL}{})\n", parts.join(", ")))
}

/// Reads the text form: the only genotype of a text, or the last that a log names `genotype`.
pub(super) fn read(text: &str) -> Result<Genotype> {
    let starts: Vec<usize> = text.match_indices(CALL).map(|(at, _)| at).collect();
    let Some(last) = starts.last().copied() else {
        return Err(Error::usage("line 1, column 1: no `Genotype(` begins here").hint(
            "a genotype is JSON, or DARTS's text `Genotype(normal=[('sep_conv_3x3', 1), …], normal_concat=range(2, 6), reduce=[…], reduce_concat=range(2, 6))`",
        ));
    };
    let names: Vec<&str> = starts.iter().map(|at| assigned(&text[..*at])).collect();
    if names.iter().any(|name| *name != names[0]) {
        let mut named: Vec<&str> = names.into_iter().filter(|n| !n.is_empty()).collect();
        named.dedup();
        return Err(Error::usage(format!(
            "the text holds {} genotypes: `{}`",
            starts.len(),
            named.join("`, `")
        ))
        .hint("keep one of them"));
    }
    let mut reader = Reader {
        text,
        at: last + CALL.len(),
    };
    let mut genotype = reader.genotype()?;
    let name = names.last().copied().unwrap_or_default();
    if name != "genotype" {
        name.clone_into(&mut genotype.name);
    }
    Ok(genotype)
}

/// The name that a text in front of a genotype gives it, `NAME = `.
fn assigned(before: &str) -> &str {
    let Some(before) = before.trim_end().strip_suffix('=') else {
        return "";
    };
    let before = before.trim_end();
    let start = before
        .rfind(|c: char| !c.is_alphanumeric() && c != '_')
        .map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
    &before[start..]
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    /// An error at byte `at`.
    fn wrong(&self, at: usize, what: &str) -> Error {
        Error::usage(format!("{}: {what}", self.place(at)))
    }

    fn place(&self, at: usize) -> String {
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        format!("line {line}, column {column}")
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.skip();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn expect(&mut self, c: char) -> Result<()> {
        let found = self.peek();
        if self.take(c) {
            return Ok(());
        }
        let found = found.map_or("the text ends".to_owned(), |c| format!("there is `{c}`"));
        Err(self.wrong(self.at, &format!("expected `{c}`, {found}")))
    }

    fn word(&mut self) -> Result<(usize, &'t str)> {
        self.skip();
        let start = self.at;
        let rest = &self.text[start..];
        let len = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        if len == 0 {
            return Err(self.wrong(start, "expected a word or a number"));
        }
        self.at += len;
        Ok((start, &rest[..len]))
    }

    fn number(&mut self) -> Result<usize> {
        let (at, word) = self.word()?;
        let n = word.parse().ok().filter(|n| *n <= MOST_NODES);
        n.ok_or_else(|| self.wrong(at, &format!("`{word}` is not the number of a node")))
    }

    /// A text between quotes.
    fn quoted(&mut self) -> Result<(usize, &'t str)> {
        let quote = match self.peek() {
            Some(c @ ('\'' | '"')) => c,
            _ => return Err(self.wrong(self.at, "expected the quoted name of an operation")),
        };
        let start = self.at + 1;
        let rest = &self.text[start..];
        let line = rest.split('\n').next().unwrap_or_default();
        let len = line
            .find(quote)
            .ok_or_else(|| self.wrong(self.at, "the quote is not closed"))?;
        self.at = start + len + 1;
        Ok((start, &rest[..len]))
    }

    /// Items until `close`, separated by commas.
    fn list<T>(&mut self, close: char, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        while !self.take(close) {
            all.push(item(self)?);
            if !self.take(',') {
                self.expect(close)?;
                break;
            }
        }
        Ok(all)
    }

    fn edges(&mut self) -> Result<Vec<Edge>> {
        self.expect('[')?;
        let start = self.at;
        let pairs = self.list(']', |r| {
            r.expect('(')?;
            let (at, word) = r.quoted()?;
            let op = primitive(word).map_err(|e| e.within(r.place(at)))?;
            r.expect(',')?;
            let from = r.number()?;
            r.take(',');
            r.expect(')')?;
            Ok((op, from))
        })?;
        if pairs.len() % DEGREE != 0 {
            let what = format!("{} entries, and each node has {DEGREE}", pairs.len());
            return Err(self.wrong(start, &what));
        }
        let edge = |(i, (op, from))| Edge {
            node: INPUTS + i / DEGREE,
            from,
            op,
        };
        Ok(pairs.into_iter().enumerate().map(edge).collect())
    }

    /// `range(a, b)`, or a list of numbers.
    fn concat(&mut self) -> Result<Vec<usize>> {
        if self.take('[') {
            return self.list(']', Self::number);
        }
        let (at, word) = self.word()?;
        match word {
            "range" => {
                self.expect('(')?;
                let ends = self.list(')', Self::number)?;
                match ends[..] {
                    [end] => Ok((0..end).collect()),
                    [start, end] => Ok((start..end).collect()),
                    _ => Err(self.wrong(at, "`range` takes one or two numbers")),
                }
            }
            // Python 3 writes a range as a list of it.
            "list" => {
                self.expect('(')?;
                let inner = self.concat()?;
                self.expect(')')?;
                Ok(inner)
            }
            _ => Err(self.wrong(
                at,
                &format!("expected a list or `range`, there is `{word}`"),
            )),
        }
    }

    fn genotype(&mut self) -> Result<Genotype> {
        let start = self.at;
        let mut edges = BTreeMap::new();
        let mut concats = BTreeMap::new();
        while !self.take(')') {
            let (at, field) = self.word()?;
            if !FIELDS.contains(&field) {
                let e = self.wrong(at, &format!("unknown field `{field}`"));
                return Err(match nearest(field, FIELDS) {
                    Some(near) => e.hint(format!("did you mean `{near}`?")),
                    None => e.hint(format!("there are `{}`", FIELDS.join("`, `"))),
                });
            }
            self.expect('=')?;
            let twice = match field.strip_suffix("_concat") {
                Some(kind) => concats.insert(kind.to_owned(), self.concat()?).is_some(),
                None => edges.insert(field.to_owned(), self.edges()?).is_some(),
            };
            if twice {
                return Err(self.wrong(at, &format!("`{field}` stands twice")));
            }
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        let mut cells = BTreeMap::new();
        for kind in Skeleton::Darts.cells() {
            let missing = |field: &str| self.wrong(start, &format!("`{field}` is missing"));
            let edges = edges.remove(*kind).ok_or_else(|| missing(kind))?;
            let concat = concats.remove(*kind);
            let concat = concat.ok_or_else(|| missing(&format!("{kind}_concat")))?;
            cells.insert((*kind).to_owned(), Cell { edges, concat });
        }
        Ok(Genotype {
            name: String::new(),
            skeleton: Skeleton::Darts,
            cells,
            params: Hyperparameters::new(),
        })
    }
}
