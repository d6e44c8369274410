//! State: named tensors that the host holds for a rule, and what a rule asks to
//! be done with them.

use std::mem::ManuallyDrop;
use std::ops::Deref;

use crate::abi::root::{RawStateSpec, init, role};
use crate::abi::types::{Code, RawNamed};
use crate::sdk::{Result, RuleError, Tensor};

/// Who changes a state tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Forward weight, trained by the optimiser from the rule's gradients.
    Weight,
    /// Bias, trained by the optimiser.
    Bias,
    /// Feedback weight, trained by the optimiser with the settings of the weight.
    LearnedFeedback,
    /// Feedback weight that never changes; no decay touches it.
    FixedFeedback,
    /// Changed by what `learn` returns.
    Plastic,
    /// Running statistic, changed by what `learn` returns.
    Statistic,
}

impl Role {
    const ALL: [(Self, Code); 6] = [
        (Self::Weight, role::WEIGHT),
        (Self::Bias, role::BIAS),
        (Self::LearnedFeedback, role::LEARNED_FEEDBACK),
        (Self::FixedFeedback, role::FIXED_FEEDBACK),
        (Self::Plastic, role::PLASTIC),
        (Self::Statistic, role::STATISTIC),
    ];
    /// Whether the optimiser owns it.
    pub fn is_trained(self) -> bool {
        matches!(self, Self::Weight | Self::Bias | Self::LearnedFeedback)
    }
    /// From the boundary.
    pub fn from_code(code: Code) -> Option<Self> {
        Self::ALL.iter().find(|(_, c)| *c == code).map(|(r, _)| *r)
    }
    fn code(self) -> Code {
        Self::ALL
            .iter()
            .find(|(r, _)| *r == self)
            .expect("every role is listed")
            .1
    }
}

/// How a state tensor starts. The host draws it, from the run's seed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// One value.
    Constant(f64),
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Uniform on `[lo, hi)`.
    Uniform {
        /// Lower end.
        lo: f64,
        /// Upper end.
        hi: f64,
    },
    /// Normal with mean 0, cut at two standard deviations; `std` is the one before the cut.
    Truncated {
        /// Standard deviation before truncation.
        std: f64,
    },
    /// Absolute value of a normal with mean 0.
    HalfNormal {
        /// Standard deviation of the normal.
        std: f64,
    },
}

/// A state tensor that the host is to hold.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSpec {
    name: String,
    shape: Vec<usize>,
    init: Init,
    role: Role,
}

impl StateSpec {
    /// `name` is unique in the layer and part of the checkpoint's tensor name.
    pub fn new(name: &str, shape: impl Into<Vec<usize>>, init: Init, role: Role) -> Self {
        Self {
            name: name.into(),
            shape: shape.into(),
            init,
            role,
        }
    }
    pub(crate) fn to_raw(&self) -> RawStateSpec {
        let (init, a, b) = match self.init {
            Init::Constant(value) => (init::CONSTANT, value, 0.0),
            Init::Normal { mean, std } => (init::NORMAL, mean, std),
            Init::Uniform { lo, hi } => (init::UNIFORM, lo, hi),
            Init::Truncated { std } => (init::TRUNCATED, 0.0, std),
            Init::HalfNormal { std } => (init::HALF_NORMAL, 0.0, std),
        };
        RawStateSpec {
            name: self.name.as_str().into(),
            shape: self.shape.iter().copied().collect(),
            role: self.role.code(),
            init,
            a,
            b,
        }
    }
}

/// Named tensors, borrowed from the host for the call.
#[derive(Clone, Copy, Default)]
pub struct State<'a> {
    entries: &'a [RawNamed],
}

/// A state tensor, borrowed.
pub struct Held<'a> {
    tensor: ManuallyDrop<Tensor>,
    call: std::marker::PhantomData<&'a RawNamed>,
}

impl Deref for Held<'_> {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

impl<'a> State<'a> {
    pub(crate) fn new(entries: &'a [RawNamed]) -> Self {
        Self { entries }
    }
    /// The tensor called `name`.
    ///
    /// # Errors
    /// The rule did not declare it.
    pub fn get(&self, name: &str) -> Result<Held<'a>> {
        self.find(name)
            .ok_or_else(|| RuleError::rule(format!("no tensor `{name}` among those of this layer")))
    }
    /// The tensor called `name`, if there is one.
    pub fn find(&self, name: &str) -> Option<Held<'a>> {
        let entry = self.entries.iter().find(|e| e.name == name)?;
        Some(Held {
            tensor: Tensor::borrow(entry.tensor),
            call: std::marker::PhantomData,
        })
    }
}

/// What is to be done with one state tensor.
#[derive(Debug)]
pub enum Change {
    /// Add to it.
    Add(Tensor),
    /// Replace it.
    Set(Tensor),
    /// Add to each row `k` the first's row times entry `k` of the second, `[K]`.
    AddRows(Tensor, Tensor),
}

/// What `learn` asks for. The host applies all of it together, after the batch.
#[derive(Debug, Default)]
pub struct Changes(pub Vec<(String, Change)>);

impl Changes {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds `delta` to the state tensor `name`.
    #[must_use]
    pub fn add(mut self, name: &str, delta: Tensor) -> Self {
        self.0.push((name.into(), Change::Add(delta)));
        self
    }
    /// Adds row `k` of `delta` times entry `k` of `scale` `[K]` to row `k` of the state tensor
    /// `name`: what `add(name, delta.mul_rows(&scale))` means, in one pass over the weights.
    #[must_use]
    pub fn add_rows(mut self, name: &str, delta: Tensor, scale: Tensor) -> Self {
        self.0.push((name.into(), Change::AddRows(delta, scale)));
        self
    }
    /// Replaces the state tensor `name`.
    #[must_use]
    pub fn set(mut self, name: &str, value: Tensor) -> Self {
        self.0.push((name.into(), Change::Set(value)));
        self
    }
}
