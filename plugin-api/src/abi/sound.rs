//! What a host demands of the state and the hyperparameters that a rule declares, beyond what the
//! types say. The host looks before it makes a tensor, the testkit before it draws one.

use std::collections::HashSet;

use super::root::{RawStateSpec, init};
use crate::sdk::{ParamSpec, Role};

/// Longest name of a state tensor or hyperparameter.
const LONGEST: usize = 64;

/// Number of elements of a state tensor with this shape; nothing where it cannot be counted.
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len))
}

/// Whether the state tensors are ones that can be made and told apart.
///
/// # Errors
/// What is wrong with the first that is not, in words that follow the rule's name.
pub fn state(specs: &[RawStateSpec]) -> Result<(), String> {
    let mut names = HashSet::new();
    for spec in specs {
        let name = spec.name.as_str();
        if !is_name(name, |c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            return Err(format!(
                "declares a state tensor `{}`: a name is 1 to {LONGEST} letters, digits, `_`, `-` and `.`, \
                 since it becomes part of the name in checkpoints",
                name.escape_debug()
            ));
        }
        if !names.insert(name) {
            return Err(format!("declares the state tensor `{name}` twice"));
        }
        if elements(&spec.shape).is_none_or(|n| n > isize::MAX as usize / 8) {
            return Err(format!(
                "asks for a state tensor `{name}` of shape {:?}, more elements than a machine can number",
                spec.shape
            ));
        }
        if Role::from_code(spec.role).is_none() {
            return Err(format!(
                "gives the state tensor `{name}` role number {}, which this version does not know",
                spec.role.0
            ));
        }
        start(spec).map_err(|what| format!("starts the state tensor `{name}` with {what}"))?;
    }
    Ok(())
}

/// Whether an initialiser has numbers that it can be drawn with.
fn start(spec: &RawStateSpec) -> Result<(), String> {
    let (a, b) = (spec.a, spec.b);
    if !a.is_finite() || !b.is_finite() {
        return Err(format!("the numbers {a} and {b}, which are not finite"));
    }
    match spec.init {
        init::CONSTANT => Ok(()),
        init::NORMAL | init::TRUNCATED | init::HALF_NORMAL if b < 0.0 => {
            Err(format!("a negative standard deviation, {b}"))
        }
        init::NORMAL | init::TRUNCATED | init::HALF_NORMAL => Ok(()),
        init::UNIFORM if a > b => Err(format!("values between {a} and {b}, in the wrong order")),
        init::UNIFORM => Ok(()),
        other => Err(format!(
            "initialiser number {}, which this version does not know",
            other.0
        )),
    }
}

/// Whether the hyperparameters can be set and described.
///
/// # Errors
/// What is wrong with the first that cannot.
pub fn schema(specs: &[ParamSpec]) -> Result<(), String> {
    let mut names = HashSet::new();
    for spec in specs {
        let name = spec.name.as_str();
        if !is_name(name, |c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!(
                "a hyperparameter is named `{}`: 1 to {LONGEST} letters, digits and `_`",
                name.escape_debug()
            ));
        }
        if name == "name" {
            return Err("a hyperparameter is named `name`, which in a config is the rule's".into());
        }
        if !names.insert(name) {
            return Err(format!("the hyperparameter `{name}` is there twice"));
        }
        if spec.doc.trim().is_empty() {
            return Err(format!("`{name}` has no line of documentation"));
        }
        if spec.min.is_nan() || spec.max.is_nan() || spec.min > spec.max {
            return Err(format!(
                "`{name}` has the range {} to {}, which holds no number",
                spec.min, spec.max
            ));
        }
        let words: HashSet<&String> = spec.choices.iter().collect();
        if words.len() < spec.choices.len() {
            return Err(format!("`{name}` lists a choice twice"));
        }
        spec.accept(spec.default.clone())
            .map_err(|what| format!("the default of `{name}` is not allowed: {what}"))?;
    }
    Ok(())
}

fn is_name(name: &str, allowed: impl Fn(char) -> bool) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::{Init, ParamValue, StateSpec};

    fn told(specs: &[StateSpec]) -> String {
        let raw: Vec<RawStateSpec> = specs.iter().map(StateSpec::to_raw).collect();
        state(&raw).err().unwrap_or_default()
    }

    #[test]
    fn state_that_cannot_be_made_is_named() {
        let spec =
            |name: &str, shape: &[usize], init| StateSpec::new(name, shape, init, Role::Plastic);
        let zero = Init::Constant(0.0);
        assert_eq!(told(&[spec("weight", &[2, 3], zero)]), "");
        let twice = told(&[spec("w", &[2], zero), spec("w", &[2], zero)]);
        assert!(twice.contains("`w` twice"), "{twice}");
        for (spec, words) in [
            (spec("the ta/.x", &[1], zero), "letters"),
            (spec("", &[1], zero), "letters"),
            (spec("w", &[usize::MAX, 2], zero), "more elements"),
            (
                spec(
                    "w",
                    &[1],
                    Init::Normal {
                        mean: 0.0,
                        std: -1.0,
                    },
                ),
                "negative standard deviation, -1",
            ),
            (
                spec("w", &[1], Init::Uniform { lo: 1.0, hi: 0.0 }),
                "wrong order",
            ),
            (spec("w", &[1], Init::Constant(f64::NAN)), "not finite"),
        ] {
            let text = told(&[spec]);
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn schemas_that_contradict_themselves_are_named() {
        let float = |name: &str, v: f64| ParamSpec::new(name, "a number", "ours", v.into());
        assert_eq!(schema(&[float("lr", 0.1).range(0.0, 1.0)]), Ok(()));
        for (specs, words) in [
            (vec![float("lr", 2.0).range(0.0, 1.0)], "default of `lr`"),
            (vec![float("lr", 2.0).range(1.0, 0.0)], "no number"),
            (vec![float("lr", 0.0), float("lr", 0.0)], "twice"),
            (vec![float("the rate", 0.0)], "letters"),
            (vec![float("name", 0.0)], "the rule's"),
            (
                vec![
                    ParamSpec::new("mode", "a word", "", ParamValue::from("c")).one_of(&["a", "b"]),
                ],
                "default of `mode`",
            ),
        ] {
            let text = schema(&specs).expect_err(words);
            assert!(text.contains(words), "{text}");
        }
    }
}
