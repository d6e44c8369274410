//! A plugin whose root module has another layout under the same name and version.

use abi_stable::StableAbi;
use abi_stable::library::{CheckTypeLayout, LibHeader, RootModule as _, RootModuleResult};
use abi_stable::prefix_type::PrefixTypeTrait as _;
use abi_stable::sabi_types::VersionStrings;

/// Not the fields that the host expects.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootModuleRef, prefix_fields = RootModulePrefix)))]
#[sabi(missing_field(option))]
pub struct RootModule {
    /// One number where the host has three.
    #[sabi(last_prefix_field)]
    pub api: u64,
}

impl abi_stable::library::RootModule for RootModuleRef {
    abi_stable::declare_root_module_statics! {RootModuleRef}
    const BASE_NAME: &'static str = "biorule_rule";
    const NAME: &'static str = "biorule rule plugin";
    const VERSION_STRINGS: VersionStrings = <biorule_plugin_api::abi::RootModuleRef as abi_stable::library::RootModule>::VERSION_STRINGS;
}

fn module() -> RootModuleRef {
    RootModule { api: 0 }.leak_into_prefix()
}

extern "C" fn root() -> RootModuleResult {
    abi_stable::library::__call_root_module_loader(module)
}

// The name under which every plugin exports its header; see `export_root_module!`.
#[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
static HEADER: LibHeader =
    // SAFETY: the constructor returns the root module named here.
    unsafe { LibHeader::from_constructor::<RootModuleRef>(root, CheckTypeLayout::Yes) };

/// Keeps the trait in use where the static is not.
pub fn name() -> &'static str {
    RootModuleRef::NAME
}
