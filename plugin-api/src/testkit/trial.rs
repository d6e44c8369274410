//! One rule on one layer, called as the host calls it.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use super::array::{normal, uniform};
use super::bound::{
    Bound, Call, Changed, Config, Facts, Grads, Held, Missed, Named, Output, Seen, Subject, apply,
};
use super::{Array, Site, handle, ops, table};
use crate::abi::root::{RawStateSpec, flags, init, kinds};
use crate::abi::types::{Code, RawNamed, RawTensor};
use crate::sdk::{
    Activity, Change, Context, DType, Errors, LayerSpec, LearningRule, Metric, ParamSpec,
    ParamValue, Result, Role, RuleError, State, StateSpec, Tensor, name_key,
};

/// A rule of type `R` on a layer, with its state: give it a batch, read what it does.
///
/// ```no_run
/// # use biorule_plugin_api::prelude::*;
/// use biorule_plugin_api::testkit::{Array, Site, Trial};
/// # fn test<Oja: LearningRule>() -> Result<()> {
/// let mut oja = Trial::<Oja>::new(&Site::dense(4, 2), &[("lr", 0.1.into())])?;
/// let x = Array::noise(1, &oja.input(8));
/// let before = oja.get("weight")?.clone();
/// oja.train(&x)?;
/// assert!(oja.get("weight")?.distance(&before) > 0.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Trial<R> {
    rule: R,
    layer: LayerSpec,
    dtype: DType,
    /// What the host would hold.
    pub state: Vec<Held>,
    /// Circumstances of the next call.
    pub call: Call,
    /// What the network is to predict, `[B, classes]`, in [`Trial::backward`]; none at first.
    pub target: Option<Array>,
    /// The loss of each sample, `[B]`, in [`Trial::backward`]; none at first.
    pub losses: Option<Array>,
}

impl<R: LearningRule> Trial<R> {
    /// The rule with these hyperparameters (the others at their defaults) on a layer, in
    /// f64, its state drawn from seed 5.
    ///
    /// # Errors
    /// A hyperparameter that is not in the schema or out of range; a layer that the rule
    /// refuses.
    pub fn new(site: &Site, params: &[(&str, ParamValue)]) -> Result<Self> {
        Self::of_type(site, params, DType::F64)
    }
    /// The same in `f32` or `f64`.
    ///
    /// # Errors
    /// As for [`Trial::new`].
    pub fn of_type(site: &Site, params: &[(&str, ParamValue)], dtype: DType) -> Result<Self> {
        table::install();
        let layer = site.layer()?;
        let schema = R::schema();
        let mut rule = R::default_values();
        for (name, value) in params {
            let spec = schema.iter().find(|spec| spec.name == *name);
            let spec =
                spec.ok_or_else(|| RuleError::unsupported(format!("no hyperparameter `{name}`")))?;
            let value = spec.accept(value.clone());
            rule.assign(name, &value.map_err(RuleError::unsupported)?)?;
        }
        rule.check(&layer)?;
        let mut trial = Self {
            rule,
            layer,
            dtype,
            state: Vec::new(),
            call: Call::default(),
            target: None,
            losses: None,
        };
        trial.state = trial.start(5)?;
        Ok(trial)
    }

    /// Shape of an input of `batch` samples.
    #[must_use]
    pub fn input(&self, batch: usize) -> Vec<usize> {
        [&[batch], self.layer.input_shape()].concat()
    }
    /// Shape of an output for `batch` samples.
    #[must_use]
    pub fn output(&self, batch: usize) -> Vec<usize> {
        [&[batch], self.layer.output_shape()].concat()
    }
    /// A state tensor.
    ///
    /// # Errors
    /// None of this name.
    pub fn get(&self, name: &str) -> Result<&Array> {
        let held = self.state.iter().find(|held| held.name == name);
        Ok(&held.ok_or_else(|| no_state(name))?.value)
    }
    /// Another value for a state tensor.
    ///
    /// # Errors
    /// None of this name, or another shape.
    pub fn set(&mut self, name: &str, value: &Array) -> Result<()> {
        let held = self.state.iter_mut().find(|held| held.name == name);
        let held = held.ok_or_else(|| no_state(name))?;
        if held.value.shape() != value.shape() {
            let text = format!("{:?} for `{name}`: {:?}", value.shape(), held.value.shape());
            return Err(RuleError::shape(text));
        }
        held.value = value.to(self.dtype);
        Ok(())
    }

    /// Output for `x`.
    ///
    /// # Errors
    /// The rule failed, or leaked a tensor; so with all below.
    pub fn forward(&self, x: &Array) -> Result<Output> {
        Bound::forward(self, &self.call, &self.state, &x.to(self.dtype))
    }
    /// What `learn` asks for after an output for `x`; nothing is applied.
    ///
    /// # Errors
    /// The rule failed.
    pub fn learn(&self, x: &Array, target: Option<&Array>) -> Result<Vec<Changed>> {
        let (x, out) = (x.to(self.dtype), self.forward(x)?);
        let target = target.map(|t| t.to(self.dtype));
        let seen = Seen {
            x: &x,
            y: &out.y,
            kept: &out.kept,
            target: target.as_ref(),
        };
        Bound::learn(self, &self.call, &self.state, seen)
    }
    /// One step of local learning: [`Trial::learn`], applied. Gives the changes.
    ///
    /// # Errors
    /// The rule failed.
    pub fn train(&mut self, x: &Array) -> Result<Vec<Changed>> {
        self.train_towards(x, None)
    }
    /// [`Trial::train`] of a rule that uses the target: `[B, classes]`, one-hot labels
    /// ([`Array::one_hot`]) or values.
    ///
    /// # Errors
    /// The rule failed.
    pub fn train_with(&mut self, x: &Array, target: &Array) -> Result<Vec<Changed>> {
        self.train_towards(x, Some(target))
    }
    fn train_towards(&mut self, x: &Array, target: Option<&Array>) -> Result<Vec<Changed>> {
        let changes = self.learn(x, target)?;
        apply(&mut self.state, &changes)?;
        self.call.step += 1;
        Ok(changes)
    }
    /// Gradients for the error `grad_y` (and, for direct rules, the error at the network's
    /// output) after an output for `x`.
    ///
    /// # Errors
    /// The rule failed.
    pub fn backward(
        &self,
        x: &Array,
        grad_y: &Array,
        output_error: Option<&Array>,
    ) -> Result<Grads> {
        let (x, out) = (x.to(self.dtype), self.forward(x)?);
        let output_error = output_error.map(|e| e.to(self.dtype));
        let target = self.target.as_ref().map(|t| t.to(self.dtype));
        let losses = self.losses.as_ref().map(|l| l.to(self.dtype));
        let missed = Missed {
            x: &x,
            y: &out.y,
            kept: &out.kept,
            grad_y: &grad_y.to(self.dtype),
            output_error: output_error.as_ref(),
            target: target.as_ref(),
            losses: losses.as_ref(),
            want_grad_x: true,
        };
        Bound::backward(self, &self.call, &self.state, missed)
    }
    /// What the rule reports.
    ///
    /// # Errors
    /// The rule failed.
    pub fn metrics(&self) -> Result<Vec<Metric>> {
        self.lent(&self.call, &self.state, |cx, state| {
            self.rule.metrics(cx, state)
        })
    }

    /// Runs `body` with the state lent to it, and counts what it keeps.
    fn lent<T>(
        &self,
        call: &Call,
        state: &[Held],
        body: impl FnOnce(&Context<'_>, &State<'_>) -> Result<T>,
    ) -> Result<T> {
        let before = handle::live();
        let lent = Lent::named(state.iter().map(|held| (&held.name, &held.value)));
        let call = call.raw();
        let result = body(&Context::new(&self.layer, call), &State::new(&lent.0));
        drop(lent);
        match (result, handle::live() - before) {
            (Ok(_), kept) if kept > 0 => Err(RuleError::rule(format!("it leaked {kept} tensors"))),
            (result, _) => result,
        }
    }
}

impl<R: LearningRule> Trial<R> {
    /// Runs `body` with state and errors lent to it.
    fn missing<T>(
        &self,
        call: &Call,
        state: &[Held],
        missed: Missed<'_>,
        body: impl FnOnce(&Context<'_>, &State<'_>, &Errors<'_>) -> Result<T>,
    ) -> Result<T> {
        self.lent(call, state, |cx, lent| {
            let (x, y, g) = (
                Loan::of(missed.x),
                Loan::of(missed.y),
                Loan::of(missed.grad_y),
            );
            let (kept, e) = (Lent::kept(missed.kept), missed.output_error.map(Loan::of));
            let (target, losses) = (missed.target.map(Loan::of), missed.losses.map(Loan::of));
            let errors = Errors {
                x: x.tensor(),
                y: y.tensor(),
                kept: State::new(&kept.0),
                grad_y: g.tensor(),
                output_error: e.as_ref().map(Loan::tensor),
                target: target.as_ref().map(Loan::tensor),
                losses: losses.as_ref().map(Loan::tensor),
                want_grad_x: missed.want_grad_x,
                want_grads: true,
            };
            body(cx, lent, &errors)
        })
    }
}

fn no_state(name: &str) -> RuleError {
    RuleError::rule(format!("no state tensor `{name}`"))
}

/// Named handles, given back on drop.
struct Lent(Vec<RawNamed>);

impl Lent {
    fn named<'a>(all: impl IntoIterator<Item = (&'a String, &'a Array)>) -> Self {
        let named = all.into_iter().map(|(name, value)| RawNamed {
            name: name.as_str().into(),
            tensor: handle::give(value.clone()),
            kind: Code(0),
        });
        Self(named.collect())
    }
    fn kept(kept: &Named) -> Self {
        Self::named(kept.iter().map(|(name, value)| (name, value)))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.iter().for_each(|n| drop(handle::take(n.tensor)));
    }
}

/// A handle given back on drop.
struct Loan(RawTensor);

impl Loan {
    fn of(value: &Array) -> Self {
        Self(handle::give(value.clone()))
    }
    fn tensor(&self) -> ManuallyDrop<Tensor> {
        Tensor::borrow(self.0)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        drop(handle::take(self.0));
    }
}

/// The values of a tensor that the rule hands over.
fn array(tensor: Tensor) -> Array {
    handle::take(tensor.into_raw())
}

fn arrays(named: Vec<(String, Tensor)>) -> Named {
    named
        .into_iter()
        .map(|(name, t)| (name, array(t)))
        .collect()
}

impl<R: LearningRule> Bound for Trial<R> {
    fn start(&self, seed: u64) -> Result<Vec<Held>> {
        let specs = self.rule.state(&self.layer)?;
        let raw: Vec<RawStateSpec> = specs.iter().map(StateSpec::to_raw).collect();
        crate::abi::sound::state(&raw)
            .map_err(|what| RuleError::rule(format!("the rule {what}")))?;
        raw.iter()
            .map(|spec| drawn(spec, seed, self.dtype))
            .collect()
    }

    fn metrics(&self, call: &Call, state: &[Held]) -> Result<Vec<(String, f64)>> {
        let found = self.lent(call, state, |cx, state| self.rule.metrics(cx, state))?;
        Ok(found.into_iter().map(|m| (m.name, m.value)).collect())
    }

    fn least_batch(&self) -> usize {
        self.rule.least_batch(&self.layer)
    }

    fn forward(&self, call: &Call, state: &[Held], x: &Array) -> Result<Output> {
        let out = self.lent(call, state, |cx, state| {
            let x = Loan::of(x);
            let out = self.rule.forward(cx, state, &x.tensor())?;
            Ok((array(out.y), arrays(out.kept)))
        });
        let (y, kept) = out?;
        let lead = x.shape().len() - self.layer.input_shape().len();
        let expected = [&x.shape()[..lead], self.layer.output_shape()].concat();
        if y.shape() != expected || y.dtype() != x.dtype() {
            return Err(RuleError::shape(format!(
                "its output is {:?} of {:?}, expected {expected:?} of {:?}",
                y.shape(),
                y.dtype(),
                x.dtype()
            )));
        }
        Ok(Output { y, kept })
    }

    fn learn(&self, call: &Call, state: &[Held], seen: Seen<'_>) -> Result<Vec<Changed>> {
        let changes = self.lent(call, state, |cx, lent| {
            let (x, y, kept) = (Loan::of(seen.x), Loan::of(seen.y), Lent::kept(seen.kept));
            let target = seen.target.map(Loan::of);
            let activity = Activity {
                x: x.tensor(),
                y: y.tensor(),
                kept: State::new(&kept.0),
                target: target.as_ref().map(Loan::tensor),
            };
            let changes = self.rule.learn(cx, lent, &activity)?.0;
            let changed = changes.into_iter().map(|(name, change)| {
                Ok(match change {
                    Change::Add(t) => (name, false, array(t)),
                    Change::Set(t) => (name, true, array(t)),
                    Change::AddRows(t, scale) => {
                        (name, false, ops::scale_rows(&array(t), &array(scale))?)
                    }
                })
            });
            changed.collect::<Result<Vec<_>>>()
        })?;
        let changes = changes.into_iter().map(|(name, replaces, value)| {
            fits(state, &name, &value)?;
            Ok(Changed {
                name,
                replaces,
                value,
            })
        });
        changes.collect()
    }

    fn backward(&self, call: &Call, state: &[Held], missed: Missed<'_>) -> Result<Grads> {
        let grads = self.missing(call, state, missed, |cx, lent, errors| {
            let out = self.rule.backward(cx, lent, errors)?;
            Ok(Grads {
                below: out.grad_x.map(array),
                own: arrays(out.grads),
            })
        })?;
        for (name, grad) in &grads.own {
            fits(state, name, grad)?;
        }
        let below = grads.below.as_ref().map(Array::shape);
        if missed.want_grad_x && below != Some(missed.x.shape()) {
            let text = format!("its error for the layer below has shape {below:?}");
            return Err(RuleError::shape(text));
        }
        Ok(grads)
    }

    fn input_gradient(
        &self,
        call: &Call,
        state: &[Held],
        missed: Missed<'_>,
    ) -> Result<Option<Array>> {
        let below = self.missing(call, state, missed, |cx, lent, errors| {
            Ok(array(self.rule.input_gradient(cx, lent, errors)?))
        })?;
        match below.shape() {
            shape if shape == missed.x.shape() => Ok(Some(below)),
            shape => Err(RuleError::shape(format!(
                "its input gradient has shape {shape:?}"
            ))),
        }
    }
}

/// A change or gradient must belong to a state tensor and have its shape.
fn fits(state: &[Held], name: &str, value: &Array) -> Result<()> {
    let held = state.iter().find(|held| held.name == name);
    match held.ok_or_else(|| no_state(name))?.value.shape() {
        shape if shape == value.shape() => Ok(()),
        shape => Err(RuleError::shape(format!(
            "`{name}` has shape {shape:?}, what it returned for it {:?}",
            value.shape()
        ))),
    }
}

/// A state tensor as its initialiser says.
fn drawn(spec: &RawStateSpec, seed: u64, dtype: DType) -> Result<Held> {
    let name = spec.name.to_string();
    let role = Role::from_code(spec.role).expect("roles of the same crate");
    let (a, b, n) = (spec.a, spec.b, spec.shape.iter().product());
    let stream = seed ^ name_key(&name);
    let (mut flat, mut bell) = (uniform(stream), normal(stream));
    let values: Vec<f64> = match spec.init {
        init::CONSTANT => vec![a; n],
        init::NORMAL => (0..n).map(|_| a + b * bell()).collect(),
        init::HALF_NORMAL => (0..n).map(|_| (b * bell()).abs()).collect(),
        init::UNIFORM => (0..n).map(|_| a + (b - a) * flat()).collect(),
        init::TRUNCATED => {
            let inside = std::iter::repeat_with(bell).filter(|z| z.abs() <= 2.0);
            inside.map(|z| b * z).take(n).collect()
        }
        Code(number) => {
            return Err(RuleError::unsupported(format!(
                "initialiser number {number}"
            )));
        }
    };
    let value = Array::of(dtype, &spec.shape, values);
    Ok(Held { name, role, value })
}

/// A rule of type `R` with its default hyperparameters, for the checks.
pub(super) struct WithDefaults<R>(pub(super) PhantomData<R>);

impl<R: LearningRule> Subject for WithDefaults<R> {
    fn facts(&self) -> Facts {
        let info = crate::abi::glue::info::<R>();
        Facts {
            credit: crate::sdk::Credit::from_code(info.credit).expect("of the same crate"),
            dense: info.kinds & kinds::DENSE != 0,
            conv: info.kinds & kinds::CONV != 0,
            wants_target: info.flags & flags::TARGET != 0,
            also_local: info.flags & flags::ALSO_LOCAL != 0,
            claims: crate::sdk::Claims(info.claims),
        }
    }
    fn presented(&self) -> (String, String) {
        let info = crate::abi::glue::info::<R>();
        (info.name.to_string(), info.summary.to_string())
    }
    fn schema(&self) -> Vec<ParamSpec> {
        R::schema()
    }
    fn bind_with(&self, site: &Site, params: &Config, dtype: DType) -> Result<Box<dyn Bound>> {
        let params: Vec<(&str, ParamValue)> = params
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        Ok(Box::new(Trial::<R>::of_type(site, &params, dtype)?))
    }
    /// Bytes of f32, as in a checkpoint.
    fn reload(&self, state: Vec<Held>) -> Result<Vec<Held>> {
        let through = |v: &f64| f64::from(f32::from_le_bytes((*v as f32).to_le_bytes()));
        let again = state.into_iter().map(|held| Held {
            value: held.value.map(through),
            ..held
        });
        Ok(again.collect())
    }
}
