//! Hyperparameters: defined once, on the rule's struct.

use crate::abi::root::{RawParamSpec, RawParamValue, param};
use crate::abi::types::Code;
use crate::sdk::{LayerSpec, Result, RuleError};

/// A hyperparameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum ParamValue {
    /// Switch.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Number.
    Float(f64),
    /// Word.
    Text(String),
}

impl ParamValue {
    fn kind(&self) -> Code {
        match self {
            Self::Bool(_) => param::BOOL,
            Self::Int(_) => param::INT,
            Self::Float(_) => param::FLOAT,
            Self::Text(_) => param::TEXT,
        }
    }
    /// For the boundary.
    pub fn to_raw(&self) -> RawParamValue {
        let mut raw = RawParamValue {
            kind: self.kind(),
            number: 0.0,
            integer: 0,
            text: "".into(),
        };
        match self {
            Self::Bool(v) => raw.integer = i64::from(*v),
            Self::Int(v) => raw.integer = *v,
            Self::Float(v) => raw.number = *v,
            Self::Text(v) => raw.text = v.as_str().into(),
        }
        raw
    }
    /// From the boundary; an unknown kind reads as text.
    pub fn from_raw(raw: &RawParamValue) -> Self {
        match raw.kind {
            param::BOOL => Self::Bool(raw.integer != 0),
            param::INT => Self::Int(raw.integer),
            param::FLOAT => Self::Float(raw.number),
            _ => Self::Text(raw.text.to_string()),
        }
    }
    fn describe(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a switch",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "text",
        }
    }
}

impl From<bool> for ParamValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<i64> for ParamValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<f64> for ParamValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}
impl From<&str> for ParamValue {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

/// A hyperparameter as a rule declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Stable name.
    pub name: String,
    /// One line.
    pub doc: String,
    /// Paper and equation, or project and file.
    pub source: String,
    /// Unit, may be empty.
    pub unit: String,
    /// Default; also fixes the type.
    pub default: ParamValue,
    /// Smallest allowed value, inclusive.
    pub min: f64,
    /// Largest allowed value, inclusive.
    pub max: f64,
    /// Allowed words, empty for any.
    pub choices: Vec<String>,
}

impl ParamSpec {
    /// A parameter without limits.
    pub fn new(name: &str, doc: &str, source: &str, default: ParamValue) -> Self {
        Self {
            name: name.into(),
            doc: doc.split_whitespace().collect::<Vec<_>>().join(" "),
            source: source.into(),
            unit: String::new(),
            default,
            min: f64::NEG_INFINITY,
            max: f64::INFINITY,
            choices: Vec::new(),
        }
    }
    /// Limits, inclusive.
    #[must_use]
    pub fn range(mut self, min: f64, max: f64) -> Self {
        (self.min, self.max) = (min, max);
        self
    }
    /// Allowed words.
    #[must_use]
    pub fn one_of(mut self, choices: &[&str]) -> Self {
        self.choices = choices.iter().map(|c| (*c).to_string()).collect();
        self
    }
    /// Unit.
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        self.unit = unit.into();
        self
    }
    /// For the boundary.
    pub fn to_raw(&self) -> RawParamSpec {
        RawParamSpec {
            name: self.name.as_str().into(),
            doc: self.doc.as_str().into(),
            unit: self.unit.as_str().into(),
            source: self.source.as_str().into(),
            default: self.default.to_raw(),
            min: self.min,
            max: self.max,
            choices: self.choices.iter().map(|c| c.as_str().into()).collect(),
        }
    }
    /// From the boundary.
    pub fn from_raw(raw: &RawParamSpec) -> Self {
        Self {
            name: raw.name.to_string(),
            doc: raw.doc.to_string(),
            source: raw.source.to_string(),
            unit: raw.unit.to_string(),
            default: ParamValue::from_raw(&raw.default),
            min: raw.min,
            max: raw.max,
            choices: raw.choices.iter().map(ToString::to_string).collect(),
        }
    }

    /// Brings `value` to the declared type and checks its range.
    ///
    /// # Errors
    /// Another type, a number outside the range, or an unknown word.
    pub fn accept(&self, value: ParamValue) -> Result<ParamValue, String> {
        let value = match (&self.default, value) {
            (ParamValue::Float(_), ParamValue::Int(v)) => ParamValue::Float(v as f64),
            (ParamValue::Int(_), ParamValue::Float(v)) if v.fract() == 0.0 => {
                ParamValue::Int(v as i64)
            }
            (_, v) => v,
        };
        if value.kind() != self.default.kind() {
            return Err(format!(
                "`{}` is {}, found {}",
                self.name,
                self.default.describe(),
                value.describe()
            ));
        }
        match &value {
            ParamValue::Float(v) if !(self.min..=self.max).contains(v) => {
                Err(self.outside(&v.to_string()))
            }
            ParamValue::Int(v) if !(self.min..=self.max).contains(&(*v as f64)) => {
                Err(self.outside(&v.to_string()))
            }
            ParamValue::Text(v) if !self.choices.is_empty() && !self.choices.contains(v) => {
                Err(format!(
                    "`{}` is one of {}, found `{v}`",
                    self.name,
                    self.choices
                        .iter()
                        .map(|c| format!("`{c}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ))
            }
            _ => Ok(value),
        }
    }

    fn outside(&self, value: &str) -> String {
        format!(
            "`{}` lies between {} and {}, found {value}",
            self.name, self.min, self.max
        )
    }
}

/// A struct of hyperparameters; written by [`hyperparameters!`](crate::hyperparameters).
pub trait Hyperparameters: Sized {
    /// All defaults.
    fn default_values() -> Self;
    /// What there is to set.
    fn schema() -> Vec<ParamSpec>;
    /// The hyperparameters that nothing reads on `layer`, with the values of the others.
    fn unread(&self, layer: &LayerSpec) -> Vec<&'static str> {
        let _ = layer;
        Vec::new()
    }
    /// Sets one value.
    ///
    /// # Errors
    /// An unknown name or another type.
    fn assign(&mut self, name: &str, value: &ParamValue) -> Result<()>;
}

/// Types that a hyperparameter can have.
pub trait ParamType: Sized {
    /// As a value.
    fn to_value(&self) -> ParamValue;
    /// From a value.
    ///
    /// # Errors
    /// Another type.
    fn from_value(name: &str, value: &ParamValue) -> Result<Self>;
}

macro_rules! param_type {
    ($ty:ty, $variant:ident) => {
        impl ParamType for $ty {
            fn to_value(&self) -> ParamValue {
                ParamValue::$variant(self.clone())
            }
            fn from_value(name: &str, value: &ParamValue) -> Result<Self> {
                match value {
                    ParamValue::$variant(v) => Ok(v.clone()),
                    other => Err(RuleError::unsupported(format!(
                        "`{name}` cannot be {}",
                        other.describe()
                    ))),
                }
            }
        }
    };
}
param_type!(bool, Bool);
param_type!(i64, Int);
param_type!(f64, Float);
param_type!(String, Text);
