//! From the boundary's raw calls to a rule's safe methods.
//!
//! One set of `extern "C"` functions per rule type, made by the compiler. Each
//! catches panics: unwinding across the boundary is undefined, and the host wants
//! to end the run with the rule's name, not with an abort.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use abi_stable::std_types::{RResult, RSlice, RString, RVec};

use super::root::*;
use super::types::*;
use crate::sdk::{
    Activity, Change, Changes, Context, Errors, Forward, Gradients, LayerSpec, LearningRule,
    ParamValue, Result, RuleError, State, StateSpec, Tensor,
};

/// A rule bound to a layer: its parameters and the layer, nothing else.
struct Bound<R> {
    rule: R,
    layer: LayerSpec,
}

/// Binds a rule of type `R`; the body of the plugin's `create`.
pub fn create<R: LearningRule>(
    layer: *const c_void,
    params: RSlice<'_, RawParam>,
) -> RawResult<RawInstance> {
    guard(|| {
        // SAFETY: the host passes its `RawLayer`, alive during the call.
        let layer = unsafe { layer_from(layer.cast()) }?;
        let mut rule = R::default_values();
        for param in params.iter() {
            rule.assign(param.name.as_str(), &ParamValue::from_raw(&param.value))?;
        }
        rule.check(&layer)?;
        let data = Box::into_raw(Box::new(Bound { rule, layer })).cast();
        Ok(RawInstance {
            data,
            vtable: vtable::<R>(),
        })
    })
}

/// Copies the host's description of a layer.
///
/// # Safety
/// `raw` points to a `RawLayer` whose `size` is true.
unsafe fn layer_from(raw: *const RawLayer) -> Result<LayerSpec> {
    // SAFETY: by contract; `size` is the first field of every version.
    if unsafe { (*raw).size } < size_of::<RawLayer>() {
        return Err(RuleError::host(
            "the host's layer description is older than this plugin's",
        ));
    }
    // SAFETY: the host's struct is at least as long as ours, and ours is its beginning.
    let raw = unsafe { &*raw };
    LayerSpec::new(RawLayer {
        size: size_of::<RawLayer>(),
        name: raw.name.clone(),
        input: raw.input.clone(),
        output: raw.output.clone(),
        ..*raw
    })
}

fn vtable<R: LearningRule>() -> &'static InstanceVtable {
    &const {
        InstanceVtable {
            state: state::<R>,
            forward: forward::<R>,
            learn: learn::<R>,
            backward: backward::<R>,
            metrics: metrics::<R>,
            drop: drop_instance::<R>,
        }
    }
}

/// Calls the function of rule number `rule` among those of all rules of a plugin.
pub fn of_rule<F, T>(all: &[F], rule: u32, call: impl FnOnce(&F) -> RawResult<T>) -> RawResult<T> {
    match all.get(rule as usize) {
        Some(function) => call(function),
        None => guard(|| Err(RuleError::unsupported("no such rule"))),
    }
}

/// [`LearningRule::least_batch`] of a bound rule of type `R`.
pub fn least_batch<R: LearningRule>(this: *const c_void) -> RawResult<u64> {
    guard(|| {
        let bound = bound::<R>(this);
        Ok(bound.rule.least_batch(&bound.layer) as u64)
    })
}

/// Hyperparameters that a bound rule of type `R` does not read.
pub fn unread<R: LearningRule>(this: *const c_void) -> RawResult<RVec<RString>> {
    guard(|| {
        let bound = bound::<R>(this);
        let names = bound.rule.unread(&bound.layer);
        Ok(names.into_iter().map(RString::from).collect())
    })
}

/// The rule's presentation, for the plugin's `rules`.
pub fn info<R: LearningRule>() -> RawRuleInfo {
    R::info().to_raw(R::schema())
}

extern "C" fn state<R: LearningRule>(this: *const c_void) -> RawResult<RVec<RawStateSpec>> {
    guard(|| {
        let bound = bound::<R>(this);
        let specs = bound.rule.state(&bound.layer)?;
        Ok(specs.iter().map(StateSpec::to_raw).collect())
    })
}

extern "C" fn forward<R: LearningRule>(
    this: *const c_void,
    args: *const c_void,
) -> RawResult<RawForward> {
    guard(|| {
        let bound = bound::<R>(this);
        // SAFETY: the host passes its `RawForwardArgs`, alive during the call.
        let args = unsafe { &*args.cast::<RawForwardArgs>() };
        let cx = context(bound, args.call);
        let state = state_of(args.state, args.states);
        let x = Tensor::borrow(args.x);
        let Forward { y, kept } = bound.rule.forward(&cx, &state, &x)?;
        Ok(RawForward {
            y: y.into_raw(),
            kept: named(kept),
        })
    })
}

extern "C" fn learn<R: LearningRule>(
    this: *const c_void,
    args: *const c_void,
) -> RawResult<RVec<RawNamed>> {
    guard(|| {
        let bound = bound::<R>(this);
        // SAFETY: the host passes its `RawLearnArgs`, alive during the call.
        let args = unsafe { &*args.cast::<RawLearnArgs>() };
        let cx = context(bound, args.call);
        let state = state_of(args.state, args.states);
        let activity = Activity {
            x: Tensor::borrow(args.x),
            y: Tensor::borrow(args.y),
            kept: state_of(args.kept, args.keeps),
            target: optional(args.target),
        };
        let Changes(changes) = bound.rule.learn(&cx, &state, &activity)?;
        let mut raw = RVec::new();
        for (name, change) in changes {
            let mut push = |tensor: Tensor, kind| {
                raw.push(RawNamed {
                    name: RString::from(name.as_str()),
                    tensor: tensor.into_raw(),
                    kind,
                });
            };
            match change {
                Change::Add(tensor) => push(tensor, change::ADD),
                Change::Set(tensor) => push(tensor, change::SET),
                Change::AddRows(tensor, scale) => {
                    push(tensor, change::ADD);
                    push(scale, change::ROW_SCALE);
                }
            }
        }
        Ok(raw)
    })
}

extern "C" fn backward<R: LearningRule>(
    this: *const c_void,
    args: *const c_void,
) -> RawResult<RawGradients> {
    guard(|| {
        let bound = bound::<R>(this);
        // SAFETY: the host passes its `RawBackwardArgs`, alive during the call; its fields are
        // pointers and plain values.
        let args = unsafe { sized(args.cast::<RawBackwardArgs>()) };
        let cx = context(bound, args.call);
        let state = state_of(args.state, args.states);
        let errors = Errors {
            x: Tensor::borrow(args.x),
            y: Tensor::borrow(args.y),
            kept: state_of(args.kept, args.keeps),
            grad_y: Tensor::borrow(args.grad_y),
            output_error: optional(args.output_error),
            target: optional(args.target),
            losses: optional(args.losses),
            want_grad_x: args.want_grad_x,
            want_grads: args.want_grads,
        };
        if args.purpose == purpose::EXACT {
            let exact = bound.rule.input_gradient(&cx, &state, &errors)?;
            return Ok(RawGradients {
                grad_x: exact.into_raw(),
                grads: RVec::new(),
            });
        }
        let Gradients { grad_x, grads } = bound.rule.backward(&cx, &state, &errors)?;
        Ok(RawGradients {
            grad_x: grad_x.map_or(RawTensor::NULL, Tensor::into_raw),
            grads: named(grads),
        })
    })
}

extern "C" fn metrics<R: LearningRule>(
    this: *const c_void,
    args: *const c_void,
) -> RawResult<RVec<RawMetric>> {
    guard(|| {
        let bound = bound::<R>(this);
        // SAFETY: the host passes its `RawForwardArgs`, alive during the call.
        let args = unsafe { &*args.cast::<RawForwardArgs>() };
        let cx = context(bound, args.call);
        let state = state_of(args.state, args.states);
        let metrics = bound.rule.metrics(&cx, &state)?;
        Ok(metrics
            .into_iter()
            .map(|m| RawMetric {
                name: m.name.into(),
                value: m.value,
            })
            .collect())
    })
}

extern "C" fn drop_instance<R: LearningRule>(this: *mut c_void) {
    // A panic in a drop has nowhere to go; the instance is lost either way.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the host drops each instance once, with the pointer `create` gave it.
        drop(unsafe { Box::from_raw(this.cast::<Bound<R>>()) });
    }));
}

/// A struct of a host of any version; what an older one lacks is zero.
///
/// # Safety
/// `raw` points to a `T` of some version, whose first field is its true size; every field of `T`
/// may be zero, and it may be copied.
unsafe fn sized<T>(raw: *const T) -> T {
    let mut own = MaybeUninit::<T>::zeroed();
    // SAFETY: by contract.
    unsafe {
        let size = (*raw.cast::<usize>()).min(size_of::<T>());
        own.as_mut_ptr()
            .cast::<u8>()
            .copy_from_nonoverlapping(raw.cast(), size);
        own.assume_init()
    }
}

fn bound<'a, R>(this: *const c_void) -> &'a Bound<R> {
    // SAFETY: the host calls with the `data` that `create::<R>` made, and drops it last.
    unsafe { &*this.cast::<Bound<R>>() }
}

fn context<'a, R>(bound: &'a Bound<R>, call: *const RawCall) -> Context<'a> {
    // SAFETY: the host passes its `RawCall`, alive during the call; its fields are plain numbers.
    Context::new(&bound.layer, unsafe { sized(call) })
}

fn state_of<'a>(first: *const RawNamed, len: usize) -> State<'a> {
    if len == 0 {
        return State::default();
    }
    // SAFETY: the host passes `len` entries at `first`, alive during the call.
    State::new(unsafe { std::slice::from_raw_parts(first, len) })
}

fn optional(raw: RawTensor) -> Option<std::mem::ManuallyDrop<Tensor>> {
    (!raw.is_null()).then(|| Tensor::borrow(raw))
}

fn named(tensors: Vec<(String, Tensor)>) -> RVec<RawNamed> {
    tensors
        .into_iter()
        .map(|(name, tensor)| RawNamed {
            name: name.into(),
            tensor: tensor.into_raw(),
            kind: Code(0),
        })
        .collect()
}

/// Runs `body`; an error or a panic becomes a failure value.
pub fn guard<T>(body: impl FnOnce() -> Result<T>) -> RawResult<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => RResult::ROk(value),
        Ok(Err(error)) => RResult::RErr(error.to_raw()),
        Err(panic) => RResult::RErr(RuleError::new(fail::PANIC, panic_text(&*panic)).to_raw()),
    }
}

/// The message of a panic.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a message")
}
