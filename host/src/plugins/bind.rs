//! A plugin's rule, bound to a layer, as the network sees it.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi_stable::std_types::{RResult, RVec};
use biorule_plugin_api::abi::root::*;
use biorule_plugin_api::abi::types::*;
use biorule_plugin_api::sdk::{ParamValue, Role as SdkRole};
use candle_core::{DType, Device, Tensor};

use super::load::Plugin;
use super::registry::RuleEntry;
use super::table::handle::{give, live, take};
use crate::config::{LayerPlan, MapPlan};
use crate::nn::rule::*;
use crate::ops::PadMode;
use crate::{Error, ExitCode, Result};

/// A rule of a plugin, bound to a layer.
pub struct BoundRule {
    instance: RawInstance,
    name: String,
    layer: LayerShape,
    plugin: Arc<Plugin>,
    credit: Credit,
    also_local: bool,
    wants_target: bool,
    stochastic: bool,
    learns_in_evaluation: bool,
    calls: AtomicU64,
    leaked: AtomicU64,
}

// SAFETY: the instance is parameters and layer alone, behind shared references; the SDK
// requires `Send + Sync` of every rule.
unsafe impl Send for BoundRule {}
// SAFETY: as above.
unsafe impl Sync for BoundRule {}

/// Outputs of the first calls are searched for NaN: a rule that makes them from good
/// inputs breaks its contract. Later ones count as divergence, which the trainer sees.
const CHECKED_CALLS: u64 = 2;

impl BoundRule {
    /// Binds `entry` to a layer.
    ///
    /// # Errors
    /// The rule refuses the layer or the parameters.
    pub fn new(
        entry: &RuleEntry,
        plan: &LayerPlan,
        layer: &LayerShape,
        params: &[(String, ParamValue)],
    ) -> Result<Self> {
        let raw = raw_layer(plan, layer)?;
        let params: Vec<RawParam> = params
            .iter()
            .map(|(name, value)| RawParam {
                name: name.as_str().into(),
                value: value.to_raw(),
            })
            .collect();
        let created = (entry.plugin.module.create())(
            entry.number,
            (&raw const raw).cast(),
            params.as_slice().into(),
        );
        let instance = created.into_result().map_err(|f| {
            Error::usage(format!(
                "rule `{}` refuses layer `{}`: {}",
                entry.name, layer.name, f.message
            ))
        })?;
        Ok(Self {
            instance,
            name: entry.name.clone(),
            layer: layer.clone(),
            plugin: entry.plugin.clone(),
            credit: entry.credit,
            also_local: entry.also_local,
            wants_target: entry.wants_target,
            stochastic: entry.stochastic,
            learns_in_evaluation: entry.learns_in_evaluation,
            calls: AtomicU64::new(0),
            leaked: AtomicU64::new(0),
        })
    }

    /// Tensors that the rule has not given back, so far.
    pub fn leaked(&self) -> u64 {
        self.leaked.load(Ordering::Relaxed)
    }

    fn fail(&self, method: &str, code: Code, message: &str) -> Error {
        let verb = if code == fail::PANIC {
            "panicked"
        } else {
            "failed"
        };
        let error = Error::plugin(format!(
            "rule `{}` {verb} in `{method}` for layer `{}`: {message}",
            self.name, self.layer.name
        ))
        .hint(format!(
            "the rule comes from `{}`; the last checkpoint is intact",
            self.plugin.path.display()
        ));
        match code {
            fail::CANCELLED => Error {
                code: ExitCode::Stopped,
                ..error
            },
            _ => error,
        }
    }

    /// Runs one call into the plugin and counts the handles it keeps.
    fn call<T>(
        &self,
        method: &str,
        inputs: Inputs,
        body: impl FnOnce(&Inputs) -> RawResult<T>,
        collect: impl FnOnce(T) -> Option<Answer>,
    ) -> Result<Answer> {
        let before = live();
        let result = body(&inputs);
        let answer = match result {
            RResult::ROk(value) => collect(value),
            RResult::RErr(RawFailure { code, message }) => {
                let error = self.fail(method, code, message.as_str());
                drop(inputs);
                return Err(error);
            }
        };
        let kept = live() - before;
        drop(inputs);
        if kept > 0 && self.leaked.fetch_add(kept as u64, Ordering::Relaxed) == 0 {
            tracing::warn!(
                "rule `{}` from `{}` leaked {kept} tensors in `{method}` for layer `{}`; further leaks are only counted",
                self.name,
                self.plugin.path.display(),
                self.layer.name
            );
        }
        answer.ok_or_else(|| self.fail(method, fail::RULE, "it returned a null tensor"))
    }

    fn check_output(&self, x: &Tensor, y: &Tensor) -> Result<()> {
        let expected = output_dims(&self.layer, x);
        if y.dims() != expected {
            let text = format!("its output has shape {:?}, expected {expected:?}", y.dims());
            return Err(self.fail("forward", fail::SHAPE, &text));
        }
        if y.dtype() != x.dtype() {
            let text = format!(
                "its output has element type {:?}, expected {:?}",
                y.dtype(),
                x.dtype()
            );
            return Err(self.fail("forward", fail::DTYPE, &text));
        }
        if self.calls.fetch_add(1, Ordering::Relaxed) < CHECKED_CALLS {
            self.check_finite("forward", "output", x, y)?;
        }
        Ok(())
    }

    fn check_finite(&self, method: &str, what: &str, input: &Tensor, value: &Tensor) -> Result<()> {
        if finite(value)? || !finite(input)? {
            return Ok(());
        }
        Err(self.fail(
            method,
            fail::RULE,
            &format!("its {what} holds NaN or infinity though its input does not"),
        ))
    }

    fn is_early(&self) -> bool {
        self.calls.load(Ordering::Relaxed) <= CHECKED_CALLS
    }
}

fn finite(t: &Tensor) -> Result<bool> {
    // NaN and infinity times zero are NaN; the sum keeps them.
    let probe = (t.flatten_all()? * 0.0)?
        .sum_all()?
        .to_dtype(DType::F64)?
        .to_scalar::<f64>()?;
    Ok(probe == 0.0)
}

/// `[B, K, P, Q]`, or `x`'s axes with the last one replaced.
fn output_dims(layer: &LayerShape, x: &Tensor) -> Vec<usize> {
    let mut dims = x.dims().to_vec();
    match layer.output[..] {
        [units] => {
            if let Some(last) = dims.last_mut() {
                *last = units;
            }
        }
        _ => {
            dims.truncate(1);
            dims.extend_from_slice(&layer.output);
        }
    }
    dims
}

fn raw_layer(plan: &LayerPlan, layer: &LayerShape) -> Result<RawLayer> {
    let mut raw = RawLayer {
        size: size_of::<RawLayer>(),
        index: layer.index as u64,
        name: layer.name.as_str().into(),
        kind: self::layer::DENSE,
        input: layer.input.iter().copied().collect(),
        output: layer.output.iter().copied().collect(),
        kernel: [1, 1],
        stride: [1, 1],
        padding: [0; 4],
        dilation: [1, 1],
        groups: 1,
        pad_mode: self::layer::PAD_ZEROS,
        bias: plan.bias,
        classes: layer.classes,
        first: layer.first,
        last: layer.last,
        normalised: layer.normalised,
    };
    if let MapPlan::Conv {
        kernel,
        stride,
        padding,
        dilation,
        groups,
        padding_mode,
    } = &plan.map
    {
        raw.kind = self::layer::CONV;
        (raw.kernel, raw.stride, raw.padding) = (*kernel, *stride, *padding);
        (raw.dilation, raw.groups) = (*dilation, *groups);
        raw.pad_mode = match PadMode::parse(padding_mode)? {
            PadMode::Zeros => self::layer::PAD_ZEROS,
            PadMode::Reflect => self::layer::PAD_REFLECT,
            PadMode::Replicate => self::layer::PAD_REPLICATE,
            PadMode::Circular => self::layer::PAD_CIRCULAR,
        };
    }
    Ok(raw)
}

/// Handles lent to the plugin for one call; given back on drop.
struct Inputs {
    call: RawCall,
    state: Vec<RawNamed>,
    kept: Vec<RawNamed>,
    tensors: Vec<RawTensor>,
}

impl Inputs {
    fn new(
        call: &RuleCall,
        state: &[StateTensor],
        kept: &[(String, Tensor)],
        tensors: &[Option<&Tensor>],
    ) -> Self {
        let lend = |name: &str, t: &Tensor| RawNamed {
            name: name.into(),
            tensor: give(t.clone()),
            kind: Code(0),
        };
        Self {
            call: RawCall {
                size: size_of::<RawCall>(),
                step: call.step,
                epoch: call.epoch,
                epochs: call.epochs,
                steps_per_epoch: call.steps_per_epoch,
                batch: call.batch,
                samples: call.samples,
                seed: call.seed,
                rate: call.rate.unwrap_or(f64::NAN),
                training: call.training,
                learning: call.learning,
            },
            state: state.iter().map(|s| lend(&s.name, &s.tensor)).collect(),
            kept: kept.iter().map(|(name, t)| lend(name, t)).collect(),
            tensors: tensors
                .iter()
                .map(|t| t.map_or(RawTensor::NULL, |t| give(t.clone())))
                .collect(),
        }
    }
    fn tensor(&self, i: usize) -> RawTensor {
        self.tensors.get(i).copied().unwrap_or(RawTensor::NULL)
    }
    fn forward_args(&self) -> RawForwardArgs {
        RawForwardArgs {
            size: size_of::<RawForwardArgs>(),
            call: &raw const self.call,
            state: self.state.as_ptr(),
            states: self.state.len(),
            x: self.tensor(0),
        }
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        for named in self.state.iter().chain(&self.kept) {
            drop(take(named.tensor));
        }
        for &raw in &self.tensors {
            drop(take(raw));
        }
    }
}

/// Tensors that came back: an optional first one, and named ones.
struct Answer {
    first: Option<Tensor>,
    named: Vec<(String, Code, Tensor)>,
    numbers: Vec<(String, f64)>,
    specs: RVec<RawStateSpec>,
}

impl Answer {
    fn tensors(first: Option<Tensor>, named: RVec<RawNamed>) -> Option<Self> {
        let named = named
            .into_iter()
            .map(|n| Some((n.name.into_string(), n.kind, take(n.tensor)?)))
            .collect::<Option<_>>()?;
        Some(Self {
            first,
            named,
            numbers: Vec::new(),
            specs: RVec::new(),
        })
    }
    fn into_named(self) -> Vec<(String, Tensor)> {
        self.named
            .into_iter()
            .map(|(name, _, t)| (name, t))
            .collect()
    }
}

impl Rule for BoundRule {
    fn name(&self) -> &str {
        &self.name
    }
    fn credit(&self) -> Credit {
        self.credit
    }
    fn also_local(&self) -> bool {
        self.also_local
    }
    fn wants_target(&self) -> bool {
        self.wants_target
    }
    fn stochastic(&self) -> bool {
        self.stochastic
    }
    fn learns_in_evaluation(&self) -> bool {
        self.learns_in_evaluation
    }

    fn init(&self, seed: u64, device: &Device, dtype: DType) -> Result<Vec<StateTensor>> {
        let inputs = Inputs::new(&RuleCall::evaluation(seed), &[], &[], &[]);
        let answer = self.call(
            "state",
            inputs,
            |_| (self.instance.vtable.state)(self.instance.data),
            |specs| {
                Some(Answer {
                    first: None,
                    named: Vec::new(),
                    numbers: Vec::new(),
                    specs,
                })
            },
        )?;
        answer
            .specs
            .iter()
            .map(|spec| initial(spec, seed, device, dtype).map_err(|e| e.within(&self.layer.name)))
            .collect()
    }

    fn forward(&self, call: &RuleCall, state: &[StateTensor], x: &Tensor) -> Result<Forwarded> {
        let answer = self.call(
            "forward",
            Inputs::new(call, state, &[], &[Some(x)]),
            |i| (self.instance.vtable.forward)(self.instance.data, pointer(&i.forward_args())),
            |f| {
                Some(Answer {
                    first: Some(take(f.y)?),
                    ..Answer::tensors(None, f.kept)?
                })
            },
        )?;
        let mut answer = answer;
        let y = answer
            .first
            .take()
            .ok_or_else(|| self.fail("forward", fail::RULE, "it returned no output"))?;
        self.check_output(x, &y)?;
        Ok(Forwarded {
            y,
            kept: answer.into_named(),
        })
    }

    fn learn(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        a: &Activity<'_>,
    ) -> Result<Vec<Change>> {
        let answer = self.call(
            "learn",
            Inputs::new(call, state, a.kept, &[Some(a.x), Some(a.y), a.target]),
            |i| {
                let args = RawLearnArgs {
                    size: size_of::<RawLearnArgs>(),
                    call: &raw const i.call,
                    state: i.state.as_ptr(),
                    states: i.state.len(),
                    x: i.tensor(0),
                    y: i.tensor(1),
                    kept: i.kept.as_ptr(),
                    keeps: i.kept.len(),
                    target: i.tensor(2),
                };
                (self.instance.vtable.learn)(self.instance.data, pointer(&args))
            },
            |changes| Answer::tensors(None, changes),
        )?;
        answer
            .named
            .into_iter()
            .map(|(name, kind, tensor)| {
                self.check_against_state("learn", "change", state, &name, &tensor)?;
                if self.is_early() {
                    self.check_finite("learn", &format!("change of `{name}`"), a.x, &tensor)?;
                }
                let kind = if kind == change::SET {
                    ChangeKind::Set
                } else {
                    ChangeKind::Add
                };
                Ok(Change { name, kind, tensor })
            })
            .collect()
    }

    fn backward(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        e: &Errors<'_>,
    ) -> Result<RuleGradients> {
        let answer = self.send_back("backward", call, state, e, purpose::LEARN)?;
        for (name, _, tensor) in &answer.named {
            self.check_against_state("backward", "gradient", state, name, tensor)?;
            if self.is_early() {
                self.check_finite(
                    "backward",
                    &format!("gradient of `{name}`"),
                    e.grad_y,
                    tensor,
                )?;
            }
        }
        if e.want_grad_x {
            self.check_below("backward", answer.first.as_ref(), e.x)?;
        }
        let Answer {
            first: grad_x,
            named,
            ..
        } = answer;
        Ok(RuleGradients {
            grad_x,
            grads: named.into_iter().map(|(name, _, t)| (name, t)).collect(),
        })
    }

    fn input_gradient(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        e: &Errors<'_>,
    ) -> Result<Option<Tensor>> {
        if self.plugin.api < purpose::SINCE {
            return Ok(None);
        }
        let answer = self.send_back("input_gradient", call, state, e, purpose::EXACT)?;
        self.check_below("input_gradient", answer.first.as_ref(), e.x)?;
        Ok(answer.first)
    }

    fn metrics(&self, call: &RuleCall, state: &[StateTensor]) -> Result<Vec<(String, f64)>> {
        let answer = self.call(
            "metrics",
            Inputs::new(call, state, &[], &[]),
            |i| (self.instance.vtable.metrics)(self.instance.data, pointer(&i.forward_args())),
            |metrics: RVec<RawMetric>| {
                let numbers = metrics
                    .into_iter()
                    .map(|m| (m.name.into_string(), m.value))
                    .collect();
                Some(Answer {
                    first: None,
                    named: Vec::new(),
                    numbers,
                    specs: RVec::new(),
                })
            },
        )?;
        Ok(answer.numbers)
    }
}

impl BoundRule {
    /// One call of the plugin's `backward`, for what `purpose` says.
    fn send_back(
        &self,
        method: &str,
        call: &RuleCall,
        state: &[StateTensor],
        e: &Errors<'_>,
        purpose: u64,
    ) -> Result<Answer> {
        self.call(
            method,
            Inputs::new(
                call,
                state,
                e.kept,
                &[Some(e.x), Some(e.y), Some(e.grad_y), e.output_error],
            ),
            |i| {
                let args = RawBackwardArgs {
                    size: size_of::<RawBackwardArgs>(),
                    call: &raw const i.call,
                    state: i.state.as_ptr(),
                    states: i.state.len(),
                    x: i.tensor(0),
                    y: i.tensor(1),
                    kept: i.kept.as_ptr(),
                    keeps: i.kept.len(),
                    grad_y: i.tensor(2),
                    output_error: i.tensor(3),
                    want_grad_x: e.want_grad_x,
                    want_grads: e.want_grads,
                    purpose,
                };
                (self.instance.vtable.backward)(self.instance.data, pointer(&args))
            },
            |g| Answer::tensors(take(g.grad_x), g.grads),
        )
    }

    /// The error for the layer below has to have the shape of the input.
    fn check_below(&self, method: &str, below: Option<&Tensor>, x: &Tensor) -> Result<()> {
        let found = below.map(Tensor::dims);
        if found == Some(x.dims()) {
            return Ok(());
        }
        let text = format!(
            "the error for the layer below has shape {found:?}, expected {:?}",
            x.dims()
        );
        Err(self.fail(method, fail::SHAPE, &text))
    }

    fn check_against_state(
        &self,
        method: &str,
        what: &str,
        state: &[StateTensor],
        name: &str,
        tensor: &Tensor,
    ) -> Result<()> {
        let Some(own) = state.iter().find(|s| s.name == name) else {
            return Err(self.fail(
                method,
                fail::RULE,
                &format!("it returned a {what} of `{name}`, which it did not declare"),
            ));
        };
        if own.tensor.dims() != tensor.dims() {
            let text = format!(
                "its {what} of `{name}` has shape {:?}, expected {:?}",
                tensor.dims(),
                own.tensor.dims()
            );
            return Err(self.fail(method, fail::SHAPE, &text));
        }
        Ok(())
    }
}

impl Drop for BoundRule {
    fn drop(&mut self) {
        (self.instance.vtable.drop)(self.instance.data);
    }
}

fn pointer<T>(args: &T) -> *const c_void {
    std::ptr::from_ref(args).cast()
}

/// Draws a state tensor: on the CPU, in f64, from the seed and the tensor's name.
fn initial(spec: &RawStateSpec, seed: u64, device: &Device, dtype: DType) -> Result<StateTensor> {
    let role = match SdkRole::from_code(spec.role) {
        Some(SdkRole::Weight) => Role::Weight,
        Some(SdkRole::Bias) => Role::Bias,
        Some(SdkRole::LearnedFeedback) => Role::LearnedFeedback,
        Some(SdkRole::FixedFeedback) => Role::FixedFeedback,
        Some(SdkRole::Plastic) => Role::Plastic,
        Some(SdkRole::Statistic) => Role::Statistic,
        None => {
            return Err(Error::plugin(format!(
                "state `{}` has role number {}, which this host does not know",
                spec.name, spec.role.0
            )));
        }
    };
    let n = spec.shape.iter().product();
    let values = super::init::draw(spec.init, spec.a, spec.b, n, seed, spec.name.as_str())
        .ok_or_else(|| {
            Error::plugin(format!(
                "state `{}` has an initialiser that this host does not know",
                spec.name
            ))
        })?;
    let tensor = Tensor::from_vec(values, spec.shape.as_slice(), &Device::Cpu)?
        .to_dtype(dtype)?
        .to_device(device)?;
    Ok(StateTensor {
        name: spec.name.to_string(),
        tensor,
        role,
    })
}
