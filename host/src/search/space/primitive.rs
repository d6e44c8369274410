//! Primitives: an operation and the learning rule of its layers, written `operation@rule`.

use std::fmt;
use std::str::FromStr;

use super::operation::Operation;
use crate::{Error, Result};

/// An operation and the rule of its layers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Primitive {
    /// What is computed.
    pub operation: Operation,
    /// The rule of its layers, by the name of a loaded plugin's rule; `None`: the operation's
    /// usual one, which is backpropagation but for `hebbian_conv`.
    pub rule: Option<String>,
}

impl Primitive {
    /// `operation` with its usual rule.
    #[must_use]
    pub const fn plain(operation: Operation) -> Self {
        Self {
            operation,
            rule: None,
        }
    }

    /// `operation` with `rule` in its slots.
    #[must_use]
    pub fn new(operation: Operation, rule: &str) -> Self {
        Self {
            operation,
            rule: Some(rule.to_owned()),
        }
    }

    /// The rule of its layers.
    #[must_use]
    pub fn rule(&self) -> &str {
        match &self.rule {
            Some(rule) => rule,
            None => self.operation.usual_rule(),
        }
    }

    /// The rule that the architecture chose, where its operation has layers at stride 1 or the
    /// rule stands there as a label (`skip_connect@…`).
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        match self.operation.has_slots() {
            true => Some(self.rule()),
            false => self.rule.as_deref(),
        }
    }
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "{}@{rule}", self.operation),
            None => write!(f, "{}", self.operation),
        }
    }
}

impl FromStr for Primitive {
    type Err = Error;

    /// Reads `operation` or `operation@rule`; whether the rule is there, the registry knows.
    fn from_str(text: &str) -> Result<Self> {
        let (name, rule) = match text.split_once('@') {
            Some((name, rule)) => (name, Some(rule)),
            None => (text, None),
        };
        let operation = Operation::named(name)?;
        let Some(rule) = rule else {
            return Ok(Self::plain(operation));
        };
        if rule.is_empty() || rule.contains(char::is_whitespace) {
            return Err(Error::usage(format!("`{text}` names no rule behind `@`"))
                .hint("write `operation@rule`, such as `sep_conv_3x3@feedback-alignment/usf`"));
        }
        if !operation.has_slots() && operation != Operation::Skip {
            return Err(
                Error::usage(format!("`{text}`: `{operation}` has no layer for a rule"))
                    .hint(format!("write `{operation}`")),
            );
        }
        Ok(Self::new(operation, rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::space::operation::OPERATIONS;

    #[test]
    fn a_primitive_is_written_as_it_is_read() {
        for (operation, name, _) in OPERATIONS {
            let plain: Primitive = name.parse().expect("a name");
            assert_eq!(plain, Primitive::plain(operation));
            assert_eq!(plain.to_string(), name);
            let with = format!("{name}@some/rule");
            match with.parse::<Primitive>() {
                Ok(one) => assert_eq!(one.to_string(), with),
                Err(e) => assert!(!operation.has_slots(), "{e}"),
            }
        }
    }

    #[test]
    fn what_is_not_a_primitive_is_refused() {
        for (text, says) in [
            ("sepconv_3x3", "sep_conv_3x3"),
            ("sep_conv_3x3@", "operation@rule"),
            ("sep_conv_3x3@a b", "operation@rule"),
            ("max_pool_3x3@backprop", "max_pool_3x3"),
            ("", "there are"),
        ] {
            let e = text.parse::<Primitive>().expect_err(text);
            let hint = e.hint.unwrap_or_default();
            assert!(hint.contains(says), "{text}: {hint}");
        }
    }
}
