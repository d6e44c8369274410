//! What a plugin exports: one small, frozen root module.
//!
//! This is the part that abi_stable checks, recursively, when a library is
//! opened. Without abi_stable the same structs would be plain `#[repr(C)]` with
//! a leading size and version; nothing else in the project would change.
//! Whatever is optional is reached through `get_extension("name/revision")`.

use std::ffi::c_void;

use abi_stable::StableAbi;
use abi_stable::library::RootModule as RootModuleTrait;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RSlice, RStr, RString, RVec};

use super::decl::abi_struct;
use super::ops::{HostArg, OpDecl};
use super::types::*;
use super::version::ApiVersion;

/// The plugin's entry points.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootModuleRef, prefix_fields = RootModulePrefix)))]
#[sabi(missing_field(option))]
pub struct RootModule {
    /// Interface the plugin was built for.
    pub api: ApiVersion,
    /// Name and version of the SDK, for messages.
    pub sdk: RStr<'static>,
    /// Whether panics unwind; a plugin that aborts could take the host with it.
    pub panic_unwinds: bool,
    /// Ops that must be there.
    pub ops_wanted: RSlice<'static, OpDecl>,
    /// Hands the op table over, once, before anything else.
    pub init: extern "C" fn(HostArg) -> RawResult<()>,
    /// What the plugin offers.
    pub rules: extern "C" fn() -> RVec<RawRuleInfo>,
    /// Binds rule number `rule` to a layer with checked parameters.
    pub create: extern "C" fn(
        rule: u32,
        layer: *const c_void,
        params: RSlice<'_, RawParam>,
    ) -> RawResult<RawInstance>,
    /// Optional abilities by id; null where absent.
    #[sabi(last_prefix_field)]
    pub get_extension: extern "C" fn(id: RStr<'_>) -> *const c_void,
}

/// Fields of [`RootModule`], for `abi.lock`.
pub const ROOT_FIELDS: &[(&str, &str)] = &[
    ("api", "ApiVersion"),
    ("sdk", "RStr<'static>"),
    ("panic_unwinds", "bool"),
    ("ops_wanted", "RSlice<'static, OpDecl>"),
    ("init", "extern \"C\" fn(HostArg) -> RawResult<()>"),
    ("rules", "extern \"C\" fn() -> RVec<RawRuleInfo>"),
    (
        "create",
        "extern \"C\" fn(u32, *const c_void, RSlice<RawParam>) -> RawResult<RawInstance>",
    ),
    ("get_extension", "extern \"C\" fn(RStr) -> *const c_void"),
];

impl RootModuleTrait for RootModuleRef {
    abi_stable::declare_root_module_statics! {RootModuleRef}
    const BASE_NAME: &'static str = "biorule_rule";
    const NAME: &'static str = "biorule rule plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

abi_struct! {
    /// A hyperparameter's value.
    #[derive(StableAbi, Clone, Debug)]
    pub struct RawParamValue {
        /// `param::*`.
        kind: Code,
        /// Where `kind` is a number.
        number: f64,
        /// Where `kind` is whole, or a switch (0, 1).
        integer: i64,
        /// Where `kind` is text.
        text: RString,
    }
}

/// Kinds of hyperparameter.
pub mod param {
    use super::Code;
    /// Switch.
    pub const BOOL: Code = Code(0);
    /// Whole number.
    pub const INT: Code = Code(1);
    /// Number.
    pub const FLOAT: Code = Code(2);
    /// One of the choices, or free text where there are none.
    pub const TEXT: Code = Code(3);
}

abi_struct! {
    /// A hyperparameter as the rule declares it.
    #[derive(StableAbi, Clone, Debug)]
    pub struct RawParamSpec {
        /// Stable name.
        name: RString,
        /// One line.
        doc: RString,
        /// Unit, may be empty.
        unit: RString,
        /// Paper and equation, or project and file.
        source: RString,
        /// Default.
        default: RawParamValue,
        /// Smallest allowed, inclusive.
        min: f64,
        /// Largest allowed, inclusive.
        max: f64,
        /// Allowed words, empty for any.
        choices: RVec<RString>,
    }
}

abi_struct! {
    /// A named value.
    #[derive(StableAbi, Clone, Debug)]
    pub struct RawParam {
        /// Name in the schema.
        name: RString,
        /// Value.
        value: RawParamValue,
    }
}

abi_struct! {
    /// A rule as it presents itself.
    #[derive(StableAbi, Clone, Debug)]
    pub struct RawRuleInfo {
        /// `softhebb`, or `plugin/rule` where a plugin has several.
        name: RString,
        /// One line.
        summary: RString,
        /// Where it comes from.
        paper: RString,
        /// `credit::*`.
        credit: Code,
        /// Bits `kinds::*`.
        kinds: u64,
        /// Bits `flags::*`.
        flags: u64,
        /// Bits of `sdk::Claims`.
        claims: u64,
        /// Hyperparameters.
        params: RVec<RawParamSpec>,
    }
}

/// How a rule learns.
pub mod credit {
    use super::Code;
    /// From its own input and output.
    pub const LOCAL: Code = Code(0);
    /// An error arrives from above.
    pub const FEEDBACK: Code = Code(1);
    /// The network's output error is broadcast.
    pub const DIRECT: Code = Code(2);
}

/// Layer kinds a rule can serve.
pub mod kinds {
    /// Dense.
    pub const DENSE: u64 = 1;
    /// Convolution.
    pub const CONV: u64 = 2;
}

/// What else the host must know of a rule.
pub mod flags {
    /// `learn` and `backward` want the target where there is one.
    pub const TARGET: u64 = 1;
    /// A feedback or direct rule that also has `learn`.
    pub const ALSO_LOCAL: u64 = 2;
    /// `forward` differs from call to call with the step.
    pub const STOCHASTIC: u64 = 4;
    /// `learn` is to be called after each `forward` in evaluation too.
    pub const IN_EVALUATION: u64 = 8;
}

abi_struct! {
    /// A state tensor that the host is to hold.
    #[derive(StableAbi, Clone, Debug)]
    pub struct RawStateSpec {
        /// Name, unique in the layer.
        name: RString,
        /// Shape.
        shape: RVec<usize>,
        /// `role::*`.
        role: Code,
        /// `init::*`.
        init: Code,
        /// First number of the initialiser.
        a: f64,
        /// Second number of the initialiser.
        b: f64,
    }
}

/// Who changes a state tensor.
pub mod role {
    use super::Code;
    /// Forward weight trained by the optimiser from gradients.
    pub const WEIGHT: Code = Code(0);
    /// Bias trained by the optimiser.
    pub const BIAS: Code = Code(1);
    /// Feedback weight trained by the optimiser, same settings as the weight.
    pub const LEARNED_FEEDBACK: Code = Code(2);
    /// Never changes.
    pub const FIXED_FEEDBACK: Code = Code(3);
    /// Changed by the rule's own changes.
    pub const PLASTIC: Code = Code(4);
    /// Running statistic, changed by the rule.
    pub const STATISTIC: Code = Code(5);
}

/// Initialisers, with their two numbers `a` and `b`.
pub mod init {
    use super::Code;
    /// Constant `a`.
    pub const CONSTANT: Code = Code(0);
    /// Normal with mean `a` and standard deviation `b`.
    pub const NORMAL: Code = Code(1);
    /// Uniform on `[a, b)`.
    pub const UNIFORM: Code = Code(2);
    /// Normal with mean 0 and standard deviation `b` before truncation at two of them.
    pub const TRUNCATED: Code = Code(3);
    /// Absolute value of a normal with standard deviation `b`.
    pub const HALF_NORMAL: Code = Code(4);
}

abi_struct! {
    /// Arguments of `forward`.
    #[derive(Clone, Copy)]
    pub struct RawForwardArgs {
        /// Bytes of this struct as the host knows it.
        size: usize,
        /// Circumstances.
        call: *const RawCall,
        /// State, in the order of the specs.
        state: *const RawNamed,
        /// Entries of `state`.
        states: usize,
        /// Input.
        x: RawTensor,
    }
}

abi_struct! {
    /// Arguments of `learn`.
    #[derive(Clone, Copy)]
    pub struct RawLearnArgs {
        /// Bytes of this struct as the host knows it.
        size: usize,
        /// Circumstances.
        call: *const RawCall,
        /// State, as `forward` had it.
        state: *const RawNamed,
        /// Entries of `state`.
        states: usize,
        /// Input.
        x: RawTensor,
        /// Output of `forward`.
        y: RawTensor,
        /// What `forward` kept.
        kept: *const RawNamed,
        /// Entries of `kept`.
        keeps: usize,
        /// One-hot labels or target values `[B, classes]`, of the input's float type, or null.
        target: RawTensor,
    }
}

abi_struct! {
    /// Arguments of `backward`.
    #[derive(Clone, Copy)]
    pub struct RawBackwardArgs {
        /// Bytes of this struct as the host knows it.
        size: usize,
        /// Circumstances.
        call: *const RawCall,
        /// State, as `forward` had it.
        state: *const RawNamed,
        /// Entries of `state`.
        states: usize,
        /// Input.
        x: RawTensor,
        /// Output of `forward`.
        y: RawTensor,
        /// What `forward` kept.
        kept: *const RawNamed,
        /// Entries of `kept`.
        keeps: usize,
        /// Error at the layer's output.
        grad_y: RawTensor,
        /// Error at the network's output `[B, classes]`, or null where the rule is not direct.
        output_error: RawTensor,
        /// Whether the error for the layer below is wanted.
        want_grad_x: bool,
        /// Whether the layer's own gradients are wanted.
        want_grads: bool,
        /// `purpose::*`; absent before 0.1.1.
        purpose: u64,
        /// One-hot labels or target values `[B, classes]`, or null; absent before 0.1.3.
        target: RawTensor,
        /// Loss of each sample `[B]`, or null; absent before 0.1.3.
        losses: RawTensor,
    }
}

/// What `backward` is asked for.
pub mod purpose {
    /// What the rule sends below, and its gradients.
    pub const LEARN: u64 = 0;
    /// The derivative of the loss by the input of what `forward` computes, and nothing else.
    pub const EXACT: u64 = 1;
    /// First interface version that knows the difference.
    pub const SINCE: crate::abi::ApiVersion = crate::abi::ApiVersion::new(0, 1, 1);
}

abi_struct! {
    /// What `forward` returns.
    #[derive(StableAbi, Clone, Debug)]
    pub struct RawForward {
        /// Output.
        y: RawTensor,
        /// What `learn` or `backward` will need.
        kept: RVec<RawNamed>,
    }
}

abi_struct! {
    /// What `backward` returns.
    #[derive(StableAbi, Clone, Debug)]
    pub struct RawGradients {
        /// Error for the layer below, or null.
        grad_x: RawTensor,
        /// Gradients by state name.
        grads: RVec<RawNamed>,
    }
}

abi_struct! {
    /// A number worth logging.
    #[derive(StableAbi, Clone, Debug)]
    pub struct RawMetric {
        /// Name.
        name: RString,
        /// Value.
        value: f64,
    }
}

abi_struct! {
    /// Entry points of a bound rule.
    #[derive(StableAbi, Clone, Copy, Debug)]
    pub struct InstanceVtable {
        /// State tensors.
        state: extern "C" fn(*const c_void) -> RawResult<RVec<RawStateSpec>>,
        /// Output; takes [`RawForwardArgs`].
        forward: extern "C" fn(*const c_void, *const c_void) -> RawResult<RawForward>,
        /// Changes; takes [`RawLearnArgs`].
        learn: extern "C" fn(*const c_void, *const c_void) -> RawResult<RVec<RawNamed>>,
        /// Gradients; takes [`RawBackwardArgs`].
        backward: extern "C" fn(*const c_void, *const c_void) -> RawResult<RawGradients>,
        /// Metrics; takes [`RawForwardArgs`] with a null `x`.
        metrics: extern "C" fn(*const c_void, *const c_void) -> RawResult<RVec<RawMetric>>,
        /// Frees the instance.
        drop: extern "C" fn(*mut c_void) -> (),
    }
}

/// The extension `least-batch/1`: how many samples a step of a bound rule needs at least.
///
/// `get_extension(LeastBatch::ID)` gives a pointer to one that lives as long as the library.
/// A plugin without it takes every batch.
#[repr(C)]
pub struct LeastBatch {
    /// Takes the number of the rule, as `create` does, and the `data` of its instance.
    pub ask: extern "C" fn(u32, *const c_void) -> RawResult<u64>,
}

impl LeastBatch {
    /// Its name and revision.
    pub const ID: &'static str = "least-batch/1";
}

/// The extension `unread/1`: the hyperparameters that a bound rule does not read, because of others
/// or of its layer.
///
/// `get_extension(Unread::ID)` gives a pointer to one that lives as long as the library. A plugin
/// without it reads all of them, as far as the host knows.
#[repr(C)]
pub struct Unread {
    /// Takes the number of the rule, as `create` does, and the `data` of its instance.
    pub ask: extern "C" fn(u32, *const c_void) -> RawResult<RVec<RString>>,
}

impl Unread {
    /// Its name and revision.
    pub const ID: &'static str = "unread/1";
}

/// The extension `about/1`: what the plugin's package says of itself.
///
/// `get_extension(About::ID)` gives a pointer to one that lives as long as the library. The same text
/// is in the library's section [`About::SECTION`], where it is read without running the plugin.
#[repr(C)]
pub struct About {
    /// Fields `key=value`, each ended by the control character 0x1E; see [`About::field`].
    pub text: RStr<'static>,
}

impl About {
    /// Its name and revision.
    pub const ID: &'static str = "about/1";
    /// The section of the library that holds the text, in ELF files.
    pub const SECTION: &'static str = ".biorule";
    /// The first characters of the text, before its first field.
    pub const START: &'static str = "biorule plugin\u{1e}";

    /// The value of `key` in `text`: `name`, `version`, `authors` (separated by `:`), `license`,
    /// `repository`, `description`, `sdk`, `api` or `rules` (types, separated by `,`).
    pub fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
        let fields = text.strip_prefix(Self::START)?.split('\u{1e}');
        let mut pairs = fields.filter_map(|field| field.split_once('='));
        pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

abi_struct! {
    /// A rule bound to a layer.
    #[derive(StableAbi, Clone, Copy, Debug)]
    pub struct RawInstance {
        /// The plugin's own data.
        data: *mut c_void,
        /// What it can do.
        vtable: &'static InstanceVtable,
    }
}
