//! A rate as an expression of where training stands, such as `0.02/(1+b)`: a number for every
//! batch, and no state, so that a run that goes on has the same rates.

use std::f64::consts;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::nearest;
use crate::{Error, Result};

/// Where a phase stands at a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Batches that the phase has seen, through all epochs.
    pub b: u64,
    /// Batches that the epoch has seen.
    pub step: u64,
    /// Finished epochs of the phase.
    pub epoch: u64,
    /// Batches in an epoch.
    pub steps: u64,
    /// Epochs of the phase; 0 where it goes on until it is stopped.
    pub epochs: u64,
}

impl Moment {
    /// Batch `b` (from 0, through all epochs) of a phase of `epochs` epochs of `steps` batches.
    #[must_use]
    pub fn at_batch(b: u64, steps: u64, epochs: u64) -> Self {
        let steps = steps.max(1);
        Self {
            b,
            step: b % steps,
            epoch: b / steps,
            steps,
            epochs,
        }
    }

    /// The first batch of epoch `epoch` (from 0) where the number of batches does not matter.
    #[must_use]
    pub fn at_epoch(epoch: u64, epochs: u64) -> Self {
        Self::at_batch(epoch, 1, epochs)
    }
}

/// What a formula may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// [`Moment::b`].
    B,
    /// [`Moment::step`].
    Step,
    /// [`Moment::epoch`].
    Epoch,
    /// [`Moment::steps`].
    Steps,
    /// [`Moment::epochs`].
    Epochs,
}

const VARIABLES: &[(&str, Variable)] = &[
    ("b", Variable::B),
    ("step", Variable::Step),
    ("epoch", Variable::Epoch),
    ("steps", Variable::Steps),
    ("epochs", Variable::Epochs),
];

const CONSTANTS: &[(&str, f64)] = &[("pi", consts::PI), ("e", consts::E)];

type One = fn(f64) -> f64;
type Two = fn(f64, f64) -> f64;

/// Functions of one number.
const FUNCTIONS: &[(&str, One)] = &[
    ("exp", f64::exp),
    ("log", f64::ln),
    ("ln", f64::ln),
    ("log2", f64::log2),
    ("log10", f64::log10),
    ("sqrt", f64::sqrt),
    ("sin", f64::sin),
    ("cos", f64::cos),
    ("tan", f64::tan),
    ("tanh", f64::tanh),
    ("abs", f64::abs),
    ("floor", f64::floor),
    ("ceil", f64::ceil),
];

/// Functions of two numbers and more; all are folded from the left.
const FOLDS: &[(&str, Two)] = &[("min", f64::min), ("max", f64::max), ("pow", f64::powf)];

/// Operators by how tightly they bind, loosest first. `//` and `%` are those of Python: towards
/// minus infinity, and with the sign of the divisor.
const OPERATORS: &[&[(&str, Two)]] = &[
    &[("+", |x, y| x + y), ("-", |x, y| x - y)],
    &[
        ("*", |x, y| x * y),
        ("//", |x, y| (x / y).floor()),
        ("/", |x, y| x / y),
        ("%", |x, y| x - y * (x / y).floor()),
    ],
];

/// Nested parentheses, signs and powers that are read.
const DEEPEST: usize = 100;

#[derive(Clone, Debug)]
enum Node {
    Number(f64),
    Variable(Variable),
    One(One, Box<Node>),
    Two(Two, Box<Node>, Box<Node>),
}

/// A formula, read and ready to be computed. Two are equal where their texts are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Formula {
    text: String,
    root: Node,
}

impl Formula {
    /// Whether a text that could also be a word is meant as a formula: it holds a digit, an
    /// operator or a parenthesis.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.chars()
            .any(|c| c.is_ascii_digit() || "+*/^%(".contains(c))
    }

    /// Its value at `moment`; what has no value is NaN or infinite.
    #[must_use]
    pub fn value(&self, moment: &Moment) -> f64 {
        self.root.value(moment)
    }

    /// Whether it depends on `variable`.
    #[must_use]
    pub fn depends_on(&self, variable: Variable) -> bool {
        self.root.depends_on(variable)
    }
}

impl Node {
    fn value(&self, moment: &Moment) -> f64 {
        match self {
            Self::Number(x) => *x,
            Self::Variable(Variable::B) => moment.b as f64,
            Self::Variable(Variable::Step) => moment.step as f64,
            Self::Variable(Variable::Epoch) => moment.epoch as f64,
            Self::Variable(Variable::Steps) => moment.steps as f64,
            Self::Variable(Variable::Epochs) => moment.epochs as f64,
            Self::One(f, x) => f(x.value(moment)),
            Self::Two(f, x, y) => f(x.value(moment), y.value(moment)),
        }
    }

    fn depends_on(&self, variable: Variable) -> bool {
        match self {
            Self::Number(_) => false,
            Self::Variable(own) => *own == variable,
            Self::One(_, x) => x.depends_on(variable),
            Self::Two(_, x, y) => x.depends_on(variable) || y.depends_on(variable),
        }
    }
}

impl PartialEq for Formula {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Formula> for String {
    fn from(formula: Formula) -> Self {
        formula.text
    }
}

impl TryFrom<String> for Formula {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for Formula {
    type Err = Error;

    /// # Errors
    /// Usage error with the column and what is wrong there.
    fn from_str(text: &str) -> Result<Self> {
        let mut reader = Reader {
            text,
            at: 0,
            depth: 0,
        };
        let root = reader.sum(0)?;
        reader.skip();
        match reader.rest().chars().next() {
            None => Ok(Self {
                text: text.trim().to_owned(),
                root,
            }),
            Some(c) => Err(reader.wrong(reader.at, &format!("`{c}` is not expected"))),
        }
    }
}

/// A formula being read, by recursive descent.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes `sign`, where it comes next.
    fn take(&mut self, sign: &str) -> bool {
        self.skip();
        let next = self.rest().starts_with(sign);
        if next {
            self.at += sign.len();
        }
        next
    }

    fn wrong(&self, at: usize, what: &str) -> Error {
        let column = self.text[..at].chars().count() + 1;
        Error::usage(format!(
            "formula `{}`, column {column}: {what}",
            self.text.trim()
        ))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong(self.at, "too many nested parts"));
        }
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// Operators of `level` and all that bind more tightly.
    fn sum(&mut self, level: usize) -> Result<Node> {
        let Some(operators) = OPERATORS.get(level) else {
            return self.signed();
        };
        let mut left = self.sum(level + 1)?;
        'more: loop {
            // `**` is a power, whose left side has been read already.
            for (sign, f) in *operators {
                if self.take(sign) {
                    let right = self.sum(level + 1)?;
                    left = Node::Two(*f, Box::new(left), Box::new(right));
                    continue 'more;
                }
            }
            return Ok(left);
        }
    }

    /// A sign binds less tightly than a power: `-2^2` is -4.
    fn signed(&mut self) -> Result<Node> {
        if self.take("-") {
            let node = self.deeper(Self::signed)?;
            return Ok(Node::One(|x| -x, Box::new(node)));
        }
        if self.take("+") {
            return self.deeper(Self::signed);
        }
        let base = self.atom()?;
        if self.take("**") || self.take("^") {
            let exponent = self.deeper(Self::signed)?;
            return Ok(Node::Two(f64::powf, Box::new(base), Box::new(exponent)));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Result<Node> {
        if self.take("(") {
            let node = self.deeper(|reader| reader.sum(0))?;
            self.close()?;
            return Ok(node);
        }
        self.skip();
        match self.rest().chars().next() {
            None => Err(self.wrong(self.at, "a number, a variable or `(` is missing")),
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.name(),
            Some(c) => Err(self.wrong(self.at, &format!("`{c}` is not expected"))),
        }
    }

    fn close(&mut self) -> Result<()> {
        if self.take(")") {
            return Ok(());
        }
        Err(self.wrong(self.at, "`)` is missing"))
    }

    fn number(&mut self) -> Result<Node> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        let digits = |mut at: usize| {
            while bytes
                .get(at)
                .is_some_and(|c| c.is_ascii_digit() || *c == b'_' || *c == b'.')
            {
                at += 1;
            }
            at
        };
        let mut end = digits(start);
        // `2e` is a number times nothing; `2e-3` an exponent.
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            if bytes.get(end + 1 + sign).is_some_and(u8::is_ascii_digit) {
                end = digits(end + 1 + sign);
            }
        }
        self.at = end;
        let text = &self.text[start..end];
        match text.replace('_', "").parse() {
            Ok(x) => Ok(Node::Number(x)),
            Err(_) => Err(self.wrong(start, &format!("`{text}` is not a number"))),
        }
    }

    /// A variable, a constant or a call. Python's `math.exp` and `np.exp` are `exp`.
    fn name(&mut self) -> Result<Node> {
        let start = self.at;
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let length = self.rest().find(|c| !part(c)).unwrap_or(self.rest().len());
        self.at += length;
        let full = &self.text[start..self.at];
        let name = ["math.", "np.", "numpy.", "torch."]
            .iter()
            .find_map(|module| full.strip_prefix(module))
            .unwrap_or(full);
        if self.take("(") {
            return self.call(start, name);
        }
        if let Some((_, variable)) = VARIABLES.iter().find(|(n, _)| *n == name) {
            return Ok(Node::Variable(*variable));
        }
        if let Some((_, x)) = CONSTANTS.iter().find(|(n, _)| *n == name) {
            return Ok(Node::Number(*x));
        }
        let known = || VARIABLES.iter().map(|(n, _)| *n);
        Err(self.unknown(
            start,
            "variable",
            name,
            known().chain(CONSTANTS.iter().map(|c| c.0)),
        ))
    }

    fn call(&mut self, start: usize, name: &str) -> Result<Node> {
        let mut arguments = vec![self.deeper(|reader| reader.sum(0))?];
        while self.take(",") {
            arguments.push(self.deeper(|reader| reader.sum(0))?);
        }
        self.close()?;
        let count = arguments.len();
        let mut arguments = arguments.into_iter();
        let first = arguments.next().unwrap_or(Node::Number(f64::NAN));
        if let Some((_, f)) = FUNCTIONS.iter().find(|(n, _)| *n == name) {
            return match count {
                1 => Ok(Node::One(*f, Box::new(first))),
                _ => Err(self.wrong(start, &format!("`{name}` takes one number, found {count}"))),
            };
        }
        if let Some((_, f)) = FOLDS.iter().find(|(n, _)| *n == name) {
            if count < 2 || (name == "pow" && count > 2) {
                return Err(
                    self.wrong(start, &format!("`{name}` takes two numbers, found {count}"))
                );
            }
            return Ok(arguments.fold(first, |x, y| Node::Two(*f, Box::new(x), Box::new(y))));
        }
        let known = FUNCTIONS
            .iter()
            .map(|f| f.0)
            .chain(FOLDS.iter().map(|f| f.0));
        Err(self.unknown(start, "function", name, known))
    }

    fn unknown(
        &self,
        at: usize,
        kind: &str,
        name: &str,
        known: impl Iterator<Item = &'static str>,
    ) -> Error {
        let known: Vec<&str> = known.collect();
        let e = self.wrong(at, &format!("unknown {kind} `{name}`"));
        e.hint(match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("{kind}s are `{}`", known.join("`, `")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, b: u64) -> f64 {
        let formula: Formula = text.parse().unwrap_or_else(|e| panic!("{e}"));
        formula.value(&Moment::at_batch(b, 10, 4))
    }

    #[test]
    fn values_are_those_of_the_same_expression_in_rust() {
        let b = 23.0_f64;
        let (step, epoch, steps, epochs) = (3.0, 2.0, 10.0, 4.0);
        let cases = [
            ("0.02/(1+b)", 0.02 / (1.0 + b)),
            ("1e-2 * 0.5 ** (b // 10)", 1e-2 * 0.5_f64.powf(2.0)),
            ("b % 10 - step", 0.0),
            ("-2^2 + 3^2^0.5", -4.0 + 3.0_f64.powf(2.0_f64.powf(0.5))),
            ("2 - 3 - 4", -5.0),
            ("12/3/2", 2.0),
            ("2^-1", 0.5),
            (
                "0.5*(1 + cos(pi*epoch/epochs))",
                0.5 * (1.0 + (consts::PI * epoch / epochs).cos()),
            ),
            (
                "0.003 + 0.007*math.exp(-b/steps)",
                0.003 + 0.007 * (-b / steps).exp(),
            ),
            ("min(1, step/5, 0.25)", (step / 5.0_f64).min(0.25)),
            ("max(abs(-3), floor(2.9), ceil(0.1))", 3.0),
            ("sqrt(log(e)) + log10(100) + log2(8)", 6.0),
            ("pow(2, 3) + tanh(0) + sin(0) + tan(0)", 8.0),
            (".5 + 1_000", 1000.5),
            ("+b", b),
        ];
        for (text, want) in cases {
            assert_eq!(at(text, 23), want, "{text}");
        }
        assert!(at("1/(b-3)", 3).is_infinite());
        assert!(at("sqrt(-b)", 1).is_nan());
    }

    #[test]
    fn errors_say_where_and_what() {
        let cases = [
            ("0.02/(1+c)", 9, "unknown variable `c`"),
            ("epoc/2", 1, "unknown variable `epoc`"),
            ("0.1*(1+b", 9, "`)` is missing"),
            ("0.1*", 5, "is missing"),
            ("", 1, "is missing"),
            ("2 b", 3, "`b` is not expected"),
            ("1..2", 1, "`1..2` is not a number"),
            ("exp(1, 2)", 1, "takes one number, found 2"),
            ("max(1)", 1, "takes two numbers, found 1"),
            ("sine(b)", 1, "unknown function `sine`"),
            ("b ? 1", 3, "`?` is not expected"),
        ];
        for (text, column, what) in cases {
            let e = text.parse::<Formula>().unwrap_err();
            assert_eq!(e.code, crate::ExitCode::Usage);
            let place = format!("column {column}:");
            assert!(
                e.text.contains(&place) && e.text.contains(what),
                "{text}: {e}"
            );
        }
        let e = "epoc/2".parse::<Formula>().unwrap_err();
        assert_eq!(e.hint.as_deref(), Some("did you mean `epoch`?"));
        let deep = "(".repeat(5000);
        assert!(deep.parse::<Formula>().unwrap_err().text.contains("nested"));
    }

    #[test]
    fn a_formula_is_stored_as_its_text() {
        let formula: Formula = "0.1 / (1 + epoch)".parse().unwrap();
        let stored = serde_json::to_string(&formula).unwrap();
        assert_eq!(stored, "\"0.1 / (1 + epoch)\"");
        assert_eq!(serde_json::from_str::<Formula>(&stored).unwrap(), formula);
        assert!(serde_json::from_str::<Formula>("\"1 +\"").is_err());
        assert!(formula.depends_on(Variable::Epoch) && !formula.depends_on(Variable::B));
        assert!(Formula::is_meant("0.02/(1+b)") && !Formula::is_meant("end-to-end"));
    }
}
