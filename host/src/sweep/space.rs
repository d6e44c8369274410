//! The parameters of a study together: which are active under which conditions, and the grid of all
//! their values.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::domain::{Domain, Value};
use crate::text::nearest;
use crate::{Error, Result};

/// Values of the active parameters, by name.
pub type Assignment = BTreeMap<String, Value>;

/// A parameter of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The settings that get its value.
    pub paths: Vec<String>,
    /// Its values.
    pub domain: Domain,
    /// The parameter is active where each of these has one of these choices.
    pub when: Vec<(String, Vec<usize>)>,
}

/// All parameters; each comes after those that its conditions name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    parameters: Vec<Parameter>,
}

impl Space {
    /// The space of `parameters`, put into an order in which conditions come first.
    ///
    /// # Errors
    /// Usage error for a condition on a parameter that is not there or has no choices, or for
    /// conditions in a circle.
    pub fn new(parameters: Vec<Parameter>) -> Result<Self> {
        for one in &parameters {
            for (other, _) in &one.when {
                if !parameters.iter().any(|p| p.name == *other) {
                    let text = format!(
                        "parameter `{}` is to be active by `{other}`, and no parameter has that name",
                        one.name
                    );
                    let near = nearest(other, parameters.iter().map(|p| p.name.as_str()));
                    return Err(match near {
                        Some(near) => Error::usage(text).hint(format!("did you mean `{near}`?")),
                        None => Error::usage(text).hint("name a parameter with `choices`"),
                    });
                }
            }
        }
        let mut left = parameters;
        let mut ordered: Vec<Parameter> = Vec::new();
        while !left.is_empty() {
            let ready = |p: &Parameter| {
                let known = |name: &String| ordered.iter().any(|o| o.name == *name);
                p.when.iter().all(|(name, _)| known(name))
            };
            let Some(next) = left.iter().position(ready) else {
                let names: Vec<&str> = left.iter().map(|p| p.name.as_str()).collect();
                let text = format!("the conditions of `{}` go in a circle", names.join("`, `"));
                return Err(Error::usage(text).hint("remove one `when`"));
            };
            ordered.push(left.remove(next));
        }
        Ok(Self {
            parameters: ordered,
        })
    }

    /// The parameters, each after those that its conditions name.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The parameter `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|p| p.name == name)
    }

    /// Whether `parameter` is active beside `values`, in which those before it stand.
    #[must_use]
    pub fn is_active(parameter: &Parameter, values: &Assignment) -> bool {
        parameter.when.iter().all(|(name, choices)| {
            matches!(values.get(name), Some(Value::Choice(i)) if choices.contains(i))
        })
    }

    /// The assignment in which `value` gives each active parameter its value.
    pub fn fill(&self, mut value: impl FnMut(&Parameter) -> Value) -> Assignment {
        let mut values = Assignment::new();
        for parameter in &self.parameters {
            // Each is asked, so that what is drawn for one does not depend on whether others are active.
            let own = value(parameter);
            if Self::is_active(parameter, &values) {
                values.insert(parameter.name.clone(), own);
            }
        }
        values
    }

    /// Whether others are active by the choice of the parameter `name`.
    fn decides(&self, name: &str) -> bool {
        let by = |p: &Parameter| p.when.iter().any(|(other, _)| other == name);
        self.parameters.iter().any(by)
    }

    /// Points of the grid of all values.
    ///
    /// # Errors
    /// Usage error for a parameter that has no finite number of values.
    pub fn grid_size(&self) -> Result<u128> {
        for parameter in &self.parameters {
            if parameter.domain.levels().is_none() {
                let text = format!(
                    "a grid needs a finite number of values, and parameter `{}` has every number in a range",
                    parameter.name
                );
                return Err(Error::usage(text).hint("give it `points = 5`, `step`, or `choices`"));
            }
        }
        Ok(self.points(0, &mut Assignment::new()))
    }

    /// Points of the grid of the parameters from `i` on.
    fn points(&self, i: usize, values: &mut Assignment) -> u128 {
        let Some(parameter) = self.parameters.get(i) else {
            return 1;
        };
        if !Self::is_active(parameter, values) {
            return self.points(i + 1, values);
        }
        let levels = parameter.domain.levels().unwrap_or(1);
        if !self.decides(&parameter.name) {
            return u128::from(levels).saturating_mul(self.points(i + 1, values));
        }
        let mut sum = 0u128;
        for level in 0..levels {
            values.insert(parameter.name.clone(), parameter.domain.level(level));
            sum = sum.saturating_add(self.points(i + 1, values));
        }
        values.remove(&parameter.name);
        sum
    }

    /// The `number`-th point of the grid; the last parameter changes fastest. `None` past its end.
    #[must_use]
    pub fn grid(&self, number: u128) -> Option<Assignment> {
        let mut values = Assignment::new();
        if number >= self.points(0, &mut values) {
            return None;
        }
        let mut left = number;
        for (i, parameter) in self.parameters.iter().enumerate() {
            if !Self::is_active(parameter, &values) {
                continue;
            }
            let mut level = 0;
            if self.decides(&parameter.name) {
                loop {
                    values.insert(parameter.name.clone(), parameter.domain.level(level));
                    let points = self.points(i + 1, &mut values);
                    if left < points {
                        break;
                    }
                    left -= points;
                    level += 1;
                }
            } else {
                let points = self.points(i + 1, &mut values).max(1);
                level = (left / points) as u64;
                left %= points;
                values.insert(parameter.name.clone(), parameter.domain.level(level));
            }
        }
        Some(values)
    }

    /// `values` as JSON.
    #[must_use]
    pub fn to_json(&self, values: &Assignment) -> Map<String, Json> {
        let all = self.parameters.iter();
        let entry = |p: &Parameter| {
            let value = values.get(&p.name)?;
            Some((p.name.clone(), p.domain.to_json(*value)))
        };
        all.filter_map(entry).collect()
    }

    /// The assignment that `json` says: each active parameter has a value, no other has one.
    ///
    /// # Errors
    /// Usage error for a name, a value or a missing value.
    pub fn read(&self, json: &Map<String, Json>) -> Result<Assignment> {
        if let Some(name) = json.keys().find(|name| self.find(name).is_none()) {
            let text = format!("the study has no parameter `{name}`");
            let near = nearest(name, self.parameters.iter().map(|p| p.name.as_str()));
            return Err(match near {
                Some(near) => Error::usage(text).hint(format!("did you mean `{near}`?")),
                None => Error::usage(text).hint("`biorule sweep table` shows its parameters"),
            });
        }
        let mut values = Assignment::new();
        for parameter in &self.parameters {
            let name = &parameter.name;
            match (json.get(name), Self::is_active(parameter, &values)) {
                (Some(value), true) => {
                    let value = parameter.domain.read(value);
                    let value = value.map_err(|e| e.within(format_args!("parameter `{name}`")))?;
                    values.insert(name.clone(), value);
                }
                (None, true) => {
                    let text = format!("parameter `{name}` has no value");
                    return Err(
                        Error::usage(text).hint("give one to each parameter that is active")
                    );
                }
                (Some(_), false) => {
                    let text = format!(
                        "parameter `{name}` has a value, and is not active beside the others"
                    );
                    return Err(Error::usage(text).hint("leave it out"));
                }
                (None, false) => {}
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::super::domain::Choice;
    use super::*;

    fn choices(words: &[&str]) -> Domain {
        let plain = |w: &&str| Choice::plain(toml::Value::String((*w).to_owned()));
        Domain::Choices(words.iter().map(plain).collect())
    }

    fn parameter(name: &str, domain: Domain, when: &[(&str, &[usize])]) -> Parameter {
        let when = when.iter().map(|(n, c)| ((*n).to_owned(), c.to_vec()));
        Parameter {
            name: name.to_owned(),
            paths: vec![name.to_owned()],
            domain,
            when: when.collect(),
        }
    }

    fn whole(low: i64, high: i64) -> Domain {
        Domain::Whole {
            low,
            high,
            step: 1,
            log: false,
        }
    }

    /// Two rules, of which one has a parameter of its own and the other two.
    fn space() -> Space {
        Space::new(vec![
            parameter("k", whole(2, 4), &[("rule", &[1])]),
            parameter("rule", choices(&["softhebb", "krotov"]), &[]),
            parameter("beta", whole(1, 5), &[("rule", &[0])]),
            parameter("p", whole(2, 3), &[("rule", &[1])]),
            parameter("width", whole(1, 2), &[]),
        ])
        .unwrap()
    }

    #[test]
    fn a_grid_has_each_point_once() {
        let space = space();
        assert_eq!(space.grid_size().unwrap(), (5 + 3 * 2) * 2);
        let all: BTreeSet<String> = (0..22)
            .map(|i| Json::Object(space.to_json(&space.grid(i).unwrap())).to_string())
            .collect();
        assert_eq!(all.len(), 22, "{all:?}");
        assert_eq!(space.grid(22), None);
        for text in &all {
            let json: Json = serde_json::from_str(text).unwrap();
            assert!(space.read(json.as_object().unwrap()).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_grid_without_an_end_is_refused_and_a_large_one_is_counted() {
        let real = Domain::Real {
            low: 0.0,
            high: 1.0,
            log: false,
            points: None,
        };
        let e = Space::new(vec![parameter("x", real, &[])])
            .unwrap()
            .grid_size()
            .unwrap_err();
        assert!(e.text.contains("`x`") && e.hint.unwrap().contains("points"));
        let many = (0..40).map(|i| parameter(&format!("p{i}"), whole(0, 999), &[]));
        let size = Space::new(many.collect()).unwrap().grid_size().unwrap();
        assert_eq!(size, u128::MAX, "it does not overflow");
    }

    #[test]
    fn conditions_that_lead_nowhere_are_refused() {
        let unknown = Space::new(vec![
            parameter("rule", choices(&["a"]), &[]),
            parameter("x", whole(0, 1), &[("rul", &[0])]),
        ]);
        assert!(unknown.unwrap_err().hint.unwrap().contains("`rule`"));
        let circle = Space::new(vec![
            parameter("a", choices(&["x"]), &[("b", &[0])]),
            parameter("b", choices(&["x"]), &[("a", &[0])]),
        ]);
        assert!(circle.unwrap_err().text.contains("circle"));
    }

    #[test]
    fn only_active_parameters_have_values() {
        let space = space();
        let read = |json: Json| space.read(json.as_object().unwrap());
        assert!(read(json!({"rule": "krotov", "k": 2, "p": 2, "width": 1})).is_ok());
        for (wrong, says) in [
            (
                json!({"rule": "krotov", "k": 2, "width": 1}),
                "`p` has no value",
            ),
            (
                json!({"rule": "softhebb", "beta": 2, "k": 2, "width": 1}),
                "not active",
            ),
            (
                json!({"rule": "softhebb", "beta": 9, "width": 1}),
                "from 1 to 5",
            ),
            (json!({"rul": "softhebb"}), "no parameter `rul`"),
        ] {
            let e = read(wrong).unwrap_err();
            assert!(e.text.contains(says), "{e}");
        }
    }
}
