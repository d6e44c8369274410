//! A plugin that breaks in the way it is told to: at load by the environment
//! variable `BIORULE_SPECIMEN`, in a call by its hyperparameter `mode`.

use biorule_plugin_api::abi::abi_stable::prefix_type::PrefixTypeTrait as _;
use biorule_plugin_api::abi::abi_stable::std_types::{RResult, RSlice, RStr, RVec};
use biorule_plugin_api::abi::root::{RawInstance, RawParam, RawRuleInfo};
use biorule_plugin_api::abi::types::{RawFailure, RawResult, fail};
use biorule_plugin_api::abi::{
    API_VERSION, ApiVersion, HostArg, OPS, OpDecl, RootModule, RootModuleRef, SDK, glue, host,
};
use biorule_plugin_api::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

hyperparameters! {
    /// A rule that misbehaves.
    pub struct Specimen {
        /// how it misbehaves
        mode: String = "good", one_of [
            "good", "error-state", "error-forward", "panic-forward", "shape-forward", "nan-forward", "leak-forward",
            "error-learn", "panic-learn", "shape-learn", "unknown-learn", "nan-learn",
            "error-backward", "panic-backward", "shape-backward", "none-backward", "denormal-backward",
        ], source "the loader's tests";
    }
}

impl Specimen {
    fn misbehave(&self, place: &str) -> Result<()> {
        match self.mode.strip_suffix(place) {
            Some("error-") => Err(RuleError::rule("the specimen was told to fail")),
            Some("panic-") => panic!("the specimen was told to panic"),
            _ => Ok(()),
        }
    }
    fn is(&self, mode: &str) -> bool {
        self.mode == mode
    }
}

impl LearningRule for Specimen {
    fn info() -> RuleInfo {
        RuleInfo::new("specimen", Credit::Feedback)
            .summary("misbehaves as told")
            // False: what goes below goes through the forward weight.
            .claims(Claims::NO_WEIGHT_TRANSPORT)
            .also_local()
    }
    fn state(&self, layer: &LayerSpec) -> Result<Vec<StateSpec>> {
        self.misbehave("state")?;
        Ok(vec![StateSpec::new(
            "weight",
            layer.weight_shape(),
            Init::Constant(0.5),
            Role::Weight,
        )])
    }
    fn forward(&self, cx: &Context, s: &State, x: &Tensor) -> Result<Forward> {
        self.misbehave("forward")?;
        if told("abort-call") {
            std::process::abort();
        }
        if told("hang-call") {
            std::thread::sleep(std::time::Duration::from_secs(600));
        }
        let y = cx.layer().forward(x, &*s.get("weight")?)?;
        if self.is("leak-forward") {
            std::mem::forget(y.clone());
        }
        Ok(Forward::new(match self.mode.as_str() {
            "shape-forward" => y.sum_keepdim(&[0])?,
            "nan-forward" => y.affine(f64::NAN, 0.0)?,
            _ => y,
        }))
    }
    fn learn(&self, _: &Context, s: &State, _: &Activity) -> Result<Changes> {
        self.misbehave("learn")?;
        let zero = s.get("weight")?.scale(0.0)?;
        Ok(match self.mode.as_str() {
            "shape-learn" => Changes::new().add("weight", zero.sum_keepdim(&[0])?),
            "unknown-learn" => Changes::new().add("wait", zero),
            "nan-learn" => Changes::new().add("weight", zero.affine(1.0, f64::NAN)?),
            _ => Changes::new().add("weight", zero),
        })
    }
    fn backward(&self, cx: &Context, s: &State, e: &Errors) -> Result<Gradients> {
        self.misbehave("backward")?;
        if self.is("denormal-backward") {
            no_denormals(cx)?;
        }
        let below = cx.layer().feedback(&e.grad_y, &*s.get("weight")?)?;
        let grads = Gradients::new().of("weight", cx.layer().correlate(&e.x, &e.grad_y)?);
        Ok(match self.mode.as_str() {
            "shape-backward" => grads.below(below.sum_keepdim(&[0])?),
            "none-backward" => grads,
            _ => grads.below(below),
        })
    }
}

/// Fails where this thread, or one of those that the host lends, computes with subnormal numbers.
fn no_denormals(cx: &Context) -> Result<()> {
    let is_kept = || std::hint::black_box(1e-39f32) * std::hint::black_box(1e20) != 0.0;
    let kept = AtomicUsize::new(usize::from(is_kept()));
    cx.parallel_for(1000, 1, |part| {
        kept.fetch_add(part.filter(|_| is_kept()).count(), Ordering::Relaxed);
    })?;
    match kept.into_inner() {
        0 => Ok(()),
        n => Err(RuleError::rule(format!(
            "{n} products of subnormal numbers were computed"
        ))),
    }
}

fn told(mode: &str) -> bool {
    std::env::var("BIORULE_SPECIMEN").is_ok_and(|m| m == mode)
}

extern "C" fn init(host: HostArg) -> RawResult<()> {
    if told("error-init") {
        return RResult::RErr(RawFailure {
            code: fail::RULE,
            message: "the specimen refuses to start".into(),
        });
    }
    glue::guard(|| {
        assert!(!told("panic-init"), "the specimen was told to panic");
        host::install(host);
        Ok(())
    })
}

extern "C" fn rules() -> RVec<RawRuleInfo> {
    if told("no-rules") {
        RVec::new()
    } else {
        [glue::info::<Specimen>()].into_iter().collect()
    }
}

extern "C" fn create(
    _: u32,
    layer: *const std::ffi::c_void,
    params: RSlice<'_, RawParam>,
) -> RawResult<RawInstance> {
    glue::create::<Specimen>(layer, params)
}

extern "C" fn get_extension(_: RStr<'_>) -> *const std::ffi::c_void {
    std::ptr::null()
}

/// Ops of a plugin built when the interface was younger, as now, or older than it is.
fn ops() -> RSlice<'static, OpDecl> {
    if told("older") {
        return RSlice::from_slice(&OPS[..OPS.len() - 3]);
    }
    let mut ops = OPS.to_vec();
    if told("newer") {
        ops.push(OpDecl {
            name: RStr::from_str("fold_patches"),
            since: ApiVersion::new(0, 1, 9),
            signature: RStr::from_str("(t : RawTensor) -> Out"),
        });
    }
    if told("other-op") {
        ops[3].signature = RStr::from_str("(t : RawTensor, axis : usize) -> Code");
    }
    RSlice::from_slice(Box::leak(ops.into_boxed_slice()))
}

fn module() -> RootModuleRef {
    assert!(!told("panic-load"), "the specimen was told to panic");
    RootModule {
        api: if told("other-api") {
            ApiVersion::new(0, 2, 0)
        } else {
            API_VERSION
        },
        sdk: RStr::from_str(SDK),
        panic_unwinds: !told("abort"),
        ops_wanted: ops(),
        init,
        rules,
        create,
        get_extension,
    }
    .leak_into_prefix()
}

biorule_plugin_api::export_root_module!(module);
