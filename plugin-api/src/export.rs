//! `export_rules!` and `hyperparameters!`.

/// Makes a plugin of rules: `export_rules!(Hebb, Oja);`.
///
/// Writes the one symbol that the host looks for. A library holds one
/// `export_rules!`.
#[macro_export]
macro_rules! export_rules {
    ($($rule:ty),+ $(,)?) => {
        const _: () = {
            use $crate::abi::abi_stable::{library, prefix_type::PrefixTypeTrait as _, std_types::*};
            use $crate::abi::{glue, root::*, types::*, *};

            extern "C" fn init(host: HostArg) -> RawResult<()> {
                host::install(host);
                RResult::ROk(())
            }
            extern "C" fn rules() -> RVec<RawRuleInfo> {
                [$(glue::info::<$rule>()),+].into_iter().collect()
            }
            extern "C" fn create(
                rule: u32,
                layer: *const ::std::ffi::c_void,
                params: RSlice<'_, RawParam>,
            ) -> RawResult<RawInstance> {
                type Create = fn(*const ::std::ffi::c_void, RSlice<'_, RawParam>) -> RawResult<RawInstance>;
                let all: &[Create] = &[$(glue::create::<$rule>),+];
                glue::of_rule(all, rule, |create| create(layer, params))
            }
            extern "C" fn least_batch(
                rule: u32,
                instance: *const ::std::ffi::c_void,
            ) -> RawResult<u64> {
                type Ask = fn(*const ::std::ffi::c_void) -> RawResult<u64>;
                let all: &[Ask] = &[$(glue::least_batch::<$rule>),+];
                glue::of_rule(all, rule, |ask| ask(instance))
            }
            extern "C" fn unread(
                rule: u32,
                instance: *const ::std::ffi::c_void,
            ) -> RawResult<RVec<RString>> {
                type Ask = fn(*const ::std::ffi::c_void) -> RawResult<RVec<RString>>;
                let all: &[Ask] = &[$(glue::unread::<$rule>),+];
                glue::of_rule(all, rule, |ask| ask(instance))
            }
            // What the package says of itself, also for readers that run nothing of the plugin.
            const TEXT: &str = concat!(
                "biorule plugin\u{1e}name=", env!("CARGO_PKG_NAME"),
                "\u{1e}version=", env!("CARGO_PKG_VERSION"),
                "\u{1e}authors=", env!("CARGO_PKG_AUTHORS"),
                "\u{1e}license=", env!("CARGO_PKG_LICENSE"),
                "\u{1e}repository=", env!("CARGO_PKG_REPOSITORY"),
                "\u{1e}description=", env!("CARGO_PKG_DESCRIPTION"),
                "\u{1e}api=", $crate::api_version_text!(),
                "\u{1e}rules=", $(stringify!($rule), ",",)+ "\u{1e}",
            );
            const TEXT_LEN: usize = TEXT.len();
            #[used]
            #[cfg_attr(target_os = "linux", unsafe(link_section = ".biorule"))]
            static TEXT_BYTES: [u8; TEXT_LEN] = *TEXT.as_bytes().first_chunk::<TEXT_LEN>().unwrap();
            extern "C" fn get_extension(id: RStr<'_>) -> *const ::std::ffi::c_void {
                static ABOUT: ::std::sync::OnceLock<About> = ::std::sync::OnceLock::new();
                static LEAST_BATCH: LeastBatch = LeastBatch { ask: least_batch };
                static UNREAD: Unread = Unread { ask: unread };
                match id.as_str() {
                    About::ID => ::std::ptr::from_ref(ABOUT.get_or_init(|| About {
                        text: RStr::from_str(::std::str::from_utf8(&TEXT_BYTES).unwrap_or_default()),
                    }))
                    .cast(),
                    LeastBatch::ID => (&raw const LEAST_BATCH).cast(),
                    Unread::ID => (&raw const UNREAD).cast(),
                    _ => ::std::ptr::null(),
                }
            }
            fn module() -> RootModuleRef {
                RootModule {
                    api: API_VERSION,
                    sdk: RStr::from_str(SDK),
                    panic_unwinds: cfg!(panic = "unwind"),
                    ops_wanted: RSlice::from_slice(OPS),
                    init,
                    rules,
                    create,
                    get_extension,
                }
                .leak_into_prefix()
            }
            $crate::export_root_module!(module);
        };
    };
}

/// The symbol that abi_stable's loader looks for, around a function that returns
/// the root module. For [`export_rules!`] and for specimens in tests.
#[doc(hidden)]
#[macro_export]
macro_rules! export_root_module {
    ($module:path) => {
        extern "C" fn __biorule_root() -> $crate::abi::abi_stable::library::RootModuleResult {
            $crate::abi::abi_stable::library::__call_root_module_loader($module)
        }
        // The name is abi_stable's ROOT_MODULE_LOADER_NAME; a test compares them.
        #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
        static __BIORULE_HEADER: $crate::abi::abi_stable::library::LibHeader =
            // SAFETY: the constructor returns the root module of the type named here.
            unsafe {
                $crate::abi::abi_stable::library::LibHeader::from_constructor::<
                    $crate::abi::RootModuleRef,
                >(
                    __biorule_root,
                    $crate::abi::abi_stable::library::CheckTypeLayout::Yes,
                )
            };
    };
}

/// Declares a rule's hyperparameters: a struct whose fields carry default, range
/// or choices, unit, one line of documentation and source. Checks, `biorule rules
/// describe` and `docs/rules.md` come from it.
///
/// `read_if |rule, layer| …` says when the rule reads a hyperparameter, from the others and from its
/// [`LayerSpec`](crate::sdk::LayerSpec); without it, always. A user who sets one that is not read is
/// warned before training.
///
/// ```
/// # use biorule_plugin_api::prelude::*;
/// hyperparameters! {
///     /// A rule.
///     pub struct MyRule {
///         /// learning rate
///         lr: f64 = 0.01, range 0.0 => 1.0, source "my paper, eq. 1";
///         /// how the rate falls
///         decay: String = "linear", one_of ["linear", "none"], source "my paper, section 2";
///         /// speed of the fall
///         speed: f64 = 2.0, range 0.0 => 10.0, read_if |rule, _layer| rule.decay == "linear", source "my paper, section 2";
///         /// rank of the punished unit
///         rank: i64 = 2, range 2 => 1000, unit "position", source "my paper, eq. 3";
///         /// whether the bias learns
///         learn_bias: bool = false, source "ours";
///     }
/// }
/// ```
#[macro_export]
macro_rules! hyperparameters {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(
                #[doc = $doc:literal] $(#[doc = $more:literal])*
                $field:ident : $ty:ident = $default:expr
                $(, range $lo:expr => $hi:expr)?
                $(, one_of [$($choice:literal),+ $(,)?])?
                $(, unit $unit:literal)?
                $(, read_if |$rule:ident, $layer:ident| $read:expr)?
                , source $source:literal;
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( #[doc = $doc] $(#[doc = $more])* pub $field: $ty, )*
        }

        impl $crate::sdk::Hyperparameters for $name {
            fn default_values() -> Self {
                Self { $( $field: <$ty as ::std::convert::From<_>>::from($default), )* }
            }
            fn schema() -> ::std::vec::Vec<$crate::sdk::ParamSpec> {
                ::std::vec![ $(
                    $crate::sdk::ParamSpec::new(
                        stringify!($field),
                        concat!($doc, $($more),*),
                        $source,
                        <$ty as $crate::sdk::ParamType>::to_value(&<$ty as ::std::convert::From<_>>::from($default)),
                    )
                    $(.range($lo as f64, $hi as f64))?
                    $(.one_of(&[$($choice),+]))?
                    $(.unit($unit))?
                ),* ]
            }
            #[allow(unused_variables, unused_mut)]
            fn unread(&self, layer: &$crate::sdk::LayerSpec) -> ::std::vec::Vec<&'static str> {
                let mut names = ::std::vec::Vec::new();
                $( $(
                    let ($rule, $layer) = (self, layer);
                    if !($read) {
                        names.push(stringify!($field));
                    }
                )? )*
                names
            }
            #[allow(unused_variables)]
            fn assign(&mut self, name: &str, value: &$crate::sdk::ParamValue) -> $crate::sdk::Result<()> {
                match name {
                    $( stringify!($field) => {
                        self.$field = <$ty as $crate::sdk::ParamType>::from_value(name, value)?;
                        Ok(())
                    } )*
                    _ => Err($crate::sdk::RuleError::unsupported(format!("no hyperparameter `{name}`"))),
                }
            }
        }
    };
}
