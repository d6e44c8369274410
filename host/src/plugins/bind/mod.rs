//! A plugin's rule, bound to a layer, as the network sees it: what goes in is
//! `arguments`, `answers` validates what the rule returned.

mod answers;
mod arguments;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi_stable::std_types::{RResult, RStr, RVec};
use biorule_plugin_api::abi::root::*;
use biorule_plugin_api::abi::types::*;
use biorule_plugin_api::sdk::ParamValue;
use candle_core::{DType, Device, Tensor};

use self::answers::{initial, named, outlined, too_large, with_kinds};
use self::arguments::{Inputs, pointer, raw_layer};
use super::entry::RuleEntry;
use super::inflight::{self, Place};
use super::load::Plugin;
use super::table::handle::{live, take};
use crate::nn::contract;
use crate::nn::rule::*;
use crate::plan::LayerPlan;
use crate::{Error, ExitCode, Result};

/// A rule of a plugin, bound to a layer.
pub struct BoundRule {
    instance: RawInstance,
    name: String,
    layer: LayerShape,
    plugin: Arc<Plugin>,
    place: Arc<Place>,
    facts: RuleFacts,
    /// Number of the rule in its plugin.
    number: u32,
    /// Largest size of a hyperparameter that is a number.
    largest_param: f64,
    calls: AtomicU64,
    leaked: AtomicU64,
}

// SAFETY: the instance is parameters and layer alone, behind shared references; the SDK
// requires `Send + Sync` of every rule.
unsafe impl Send for BoundRule {}
// SAFETY: as above.
unsafe impl Sync for BoundRule {}

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
        let place = Arc::new(Place::new(&entry.name, &layer.name, &entry.plugin.path));
        let raw_params: Vec<RawParam> = params
            .iter()
            .map(|(name, value)| RawParam {
                name: name.as_str().into(),
                value: value.to_raw(),
            })
            .collect();
        let created = inflight::during(&place, "check", || {
            (entry.plugin.module.create())(
                entry.number,
                (&raw const raw).cast(),
                raw_params.as_slice().into(),
            )
        });
        let instance = created.into_result().map_err(|f| {
            Error::usage(format!(
                "rule `{}` refuses layer `{}`: {}",
                entry.name, layer.name, f.message
            ))
        })?;
        let facts = RuleFacts {
            least_batch: least_batch(entry, &instance),
            ..entry.facts
        };
        Ok(Self {
            instance,
            name: entry.name.clone(),
            layer: layer.clone(),
            plugin: entry.plugin.clone(),
            place,
            facts,
            number: entry.number,
            largest_param: largest(params.iter().map(|(_, value)| value)),
            calls: AtomicU64::new(0),
            leaked: AtomicU64::new(0),
        })
    }

    /// The tensors that the rule asks for, still in the plugin's words.
    fn specs(&self, call: &RuleCall) -> Result<RVec<RawStateSpec>> {
        let specs = self.call(
            "state",
            Inputs::new(call, &[], &[], &[]),
            |_| (self.instance.vtable.state)(self.instance.data),
            Some,
        )?;
        biorule_plugin_api::abi::sound::state(&specs)
            .map_err(|what| self.unsound(ExitCode::Plugin, &what))?;
        match too_large(&specs) {
            // A run that takes more memory than there is.
            Some(what) => Err(self.unsound(ExitCode::Usage, &what)),
            None => Ok(specs),
        }
    }

    /// Tensors that the rule has not given back, so far.
    pub fn leaked(&self) -> u64 {
        self.leaked.load(Ordering::Relaxed)
    }

    /// Runs one call into the plugin and counts the handles it keeps. `collect` takes over what
    /// came back, and gives nothing where a tensor of it is null.
    fn call<T, U>(
        &self,
        method: &'static str,
        inputs: Inputs,
        body: impl FnOnce(&Inputs) -> RawResult<T>,
        collect: impl FnOnce(T) -> Option<U>,
    ) -> Result<U> {
        let before = live();
        let result = inflight::during(&self.place, method, || body(&inputs));
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
}

/// The largest size of those values that are numbers.
fn largest<'a>(values: impl Iterator<Item = &'a ParamValue>) -> f64 {
    let size = |value: &ParamValue| match value {
        ParamValue::Int(i) => (*i as f64).abs(),
        ParamValue::Float(x) => x.abs(),
        ParamValue::Bool(_) | ParamValue::Text(_) => 0.0,
    };
    values.map(size).fold(0.0, f64::max)
}

impl Rule for BoundRule {
    fn name(&self) -> &str {
        &self.name
    }
    fn facts(&self) -> RuleFacts {
        self.facts
    }

    fn unread(&self) -> Vec<String> {
        // SAFETY: under this name and revision a plugin gives an `Unread` that is never freed.
        let extension = unsafe { extension::<Unread>(&self.plugin, Unread::ID) };
        let answer = extension.map(|e| (e.ask)(self.number, self.instance.data).into_result());
        let names = answer.and_then(std::result::Result::ok).unwrap_or_default();
        names.into_iter().map(Into::into).collect()
    }

    fn outline(&self) -> Result<Vec<StateOutline>> {
        self.specs(&RuleCall::evaluation(0))?
            .iter()
            .map(|spec| outlined(spec).map_err(|e| e.within(&self.layer.name)))
            .collect()
    }

    fn init(&self, seed: u64, device: &Device, dtype: DType) -> Result<Vec<StateTensor>> {
        self.specs(&RuleCall::evaluation(seed))?
            .iter()
            .map(|spec| initial(spec, seed, device, dtype).map_err(|e| e.within(&self.layer.name)))
            .collect()
    }

    fn forward(&self, call: &RuleCall, state: &[StateTensor], x: &Tensor) -> Result<Forwarded> {
        let (y, kept) = self.call(
            "forward",
            Inputs::new(call, state, &[], &[Some(x)]),
            |i| (self.instance.vtable.forward)(self.instance.data, pointer(&i.forward_args())),
            |f| Some((take(f.y)?, named(f.kept)?)),
        )?;
        self.check_output(call, state, x, &y)?;
        Ok(Forwarded { y, kept })
    }

    fn learn(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        a: &Activity<'_>,
    ) -> Result<Vec<Change>> {
        let asked = self.call(
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
            with_kinds,
        )?;
        let mut changes: Vec<Change> = Vec::new();
        for (name, kind, tensor) in asked {
            if self.is_early() {
                let what = format!("change of `{name}`");
                self.check_finite("learn", &what, (call, state, &[a.x, a.y]), &tensor)?;
            }
            if kind == change::ROW_SCALE {
                self.scale_rows(&mut changes, &name, tensor)?;
                continue;
            }
            self.fits("learn", contract::of_state("change", state, &name, &tensor))?;
            let kind = match kind {
                change::ADD => ChangeKind::Add,
                change::SET => ChangeKind::Set,
                Code(other) => {
                    let text = format!("its change of `{name}` is of the unknown kind {other}");
                    return Err(self.fail("learn", fail::UNSUPPORTED, &text));
                }
            };
            changes.push(Change { name, kind, tensor });
        }
        Ok(changes)
    }

    fn backward(
        &self,
        call: &RuleCall,
        state: &[StateTensor],
        e: &Errors<'_>,
    ) -> Result<RuleGradients> {
        let (grad_x, grads) = self.send_back("backward", call, state, e, purpose::LEARN)?;
        for (name, tensor) in &grads {
            self.fits(
                "backward",
                contract::of_state("gradient", state, name, tensor),
            )?;
            if self.is_early() {
                let what = format!("gradient of `{name}`");
                self.check_finite("backward", &what, (call, state, &[e.x, e.grad_y]), tensor)?;
            }
        }
        if e.want_grad_x {
            self.fits("backward", contract::below(grad_x.as_ref(), e.x))?;
        }
        Ok(RuleGradients { grad_x, grads })
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
        let (grad_x, _) = self.send_back("input_gradient", call, state, e, purpose::EXACT)?;
        self.fits("input_gradient", contract::below(grad_x.as_ref(), e.x))?;
        Ok(grad_x)
    }

    fn metrics(&self, call: &RuleCall, state: &[StateTensor]) -> Result<Vec<(String, f64)>> {
        self.call(
            "metrics",
            Inputs::new(call, state, &[], &[]),
            |i| (self.instance.vtable.metrics)(self.instance.data, pointer(&i.forward_args())),
            |metrics: RVec<RawMetric>| {
                let pair = |m: RawMetric| (m.name.into_string(), m.value);
                Some(metrics.into_iter().map(pair).collect())
            },
        )
    }
}

impl BoundRule {
    /// One call of the plugin's `backward`, for what `purpose` says: the error for the layer
    /// below, and gradients by state name.
    fn send_back(
        &self,
        method: &'static str,
        call: &RuleCall,
        state: &[StateTensor],
        e: &Errors<'_>,
        purpose: u64,
    ) -> Result<(Option<Tensor>, Named)> {
        self.call(
            method,
            Inputs::new(
                call,
                state,
                e.kept,
                &[
                    Some(e.x),
                    Some(e.y),
                    Some(e.grad_y),
                    e.output_error,
                    e.target,
                    e.losses,
                ],
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
                    target: i.tensor(4),
                    losses: i.tensor(5),
                };
                (self.instance.vtable.backward)(self.instance.data, pointer(&args))
            },
            |g| Some((take(g.grad_x), named(g.grads)?)),
        )
    }
}

/// Samples that the rule needs in a batch; 1 where its plugin does not say.
fn least_batch(entry: &RuleEntry, instance: &RawInstance) -> usize {
    // SAFETY: under this name and revision a plugin gives a `LeastBatch` that is never freed.
    let extension = unsafe { extension::<LeastBatch>(&entry.plugin, LeastBatch::ID) };
    let answer = extension.map(|e| (e.ask)(entry.number, instance.data).into_result());
    let least = answer.and_then(std::result::Result::ok).unwrap_or(1);
    usize::try_from(least).unwrap_or(usize::MAX).max(1)
}

/// The extension `id` of `plugin`, where it has it.
///
/// # Safety
/// A plugin that gives something under `id` gives a `T` that lives as long as it does.
unsafe fn extension<'a, T>(plugin: &'a Plugin, id: &str) -> Option<&'a T> {
    let found = (plugin.module.get_extension())(RStr::from_str(id));
    // SAFETY: by contract; null where the plugin lacks it.
    unsafe { found.cast::<T>().as_ref() }
}

impl Drop for BoundRule {
    fn drop(&mut self) {
        (self.instance.vtable.drop)(self.instance.data);
    }
}
