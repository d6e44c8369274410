//! Opening one plugin: the checks, in order, each with an error of its own.

use std::fmt;
use std::path::{Path, PathBuf};

use super::candidate::{Candidate, inspect};
pub use super::refusal::{LoadError, Stage};
use super::table;
use abi_stable::library::{
    AbiHeaderRef, LibraryError, ROOT_MODULE_LOADER_NAME_WITH_NUL, RootModuleError,
};
use biorule_plugin_api::abi::root::RawRuleInfo;
use biorule_plugin_api::abi::{
    API_VERSION, ApiVersion, HostArg, OPS, OpDecl, RootModuleRef, abi_stable,
};
use libloading::Library;

/// A loaded plugin. Its library stays in the process for good.
#[derive(Clone)]
pub struct Plugin {
    /// The file.
    pub path: PathBuf,
    /// Digest of the file, for run records.
    pub sha256: String,
    /// Interface it was built for.
    pub api: ApiVersion,
    /// SDK it was built with.
    pub sdk: String,
    /// What its package says of itself, where it is young enough to say so.
    pub about: Option<super::about::Package>,
    /// Ops that it knows and this host lacks, each with the version that has it. It may never call
    /// them; a call is an error of the rule.
    pub missing: Vec<(String, ApiVersion)>,
    /// Its entry points.
    pub(super) module: RootModuleRef,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Plugin({}, {}, {})",
            self.path.display(),
            self.api,
            self.sdk
        )
    }
}

/// Opens and checks `path` in this process; on success also its rules, still in the plugin's
/// words.
///
/// # Errors
/// The first check that fails.
pub fn load(path: &Path) -> Result<(Plugin, Vec<RawRuleInfo>), LoadError> {
    open(&inspect(path)?)
}

/// As [`load`], for a file that was looked at before.
///
/// # Errors
/// The first check that fails.
pub fn open(file: &Candidate) -> Result<(Plugin, Vec<RawRuleInfo>), LoadError> {
    let path = file.path.as_path();
    let at = |stage: Stage, reason: String, hint: &str| LoadError {
        path: path.to_path_buf(),
        stage,
        reason,
        hint: hint.to_string(),
    };
    let header = header(file, &at)?;
    let library = header.upgrade().map_err(|error| refuse(error, &at))?;
    // Before layouts, which differ too where the version does, and say less.
    if let Ok(version) = library.version_strings().parsed() {
        let built_for = ApiVersion::new(version.major, version.minor, version.patch);
        if !built_for.speaks_with(API_VERSION) {
            return Err(at(Stage::Version, other_version(built_for), REBUILD));
        }
    }
    let module = library
        .init_root_module::<RootModuleRef>()
        .map_err(|error| refuse(error, &at))?;
    if !module.api().speaks_with(API_VERSION) {
        return Err(at(Stage::Version, other_version(module.api()), REBUILD));
    }
    if !module.panic_unwinds() {
        let reason =
            "built with `panic = \"abort\"`: a defect in a rule would end the host".to_string();
        return Err(at(
            Stage::Panic,
            reason,
            "remove `panic = \"abort\"` from the plugin's profile and rebuild it",
        ));
    }
    let missing = check_ops(module.ops_wanted().as_slice(), OPS)
        .map_err(|(reason, hint)| at(Stage::Ops, reason, &hint))?;
    (module.init())(HostArg(std::ptr::from_ref(table::host_table()).cast()))
        .into_result()
        .map_err(|failure| {
            at(
                Stage::Init,
                failure.message.to_string(),
                "see the plugin's own documentation",
            )
        })?;
    let rules: Vec<RawRuleInfo> = (module.rules())().into_iter().collect();
    if rules.is_empty() {
        return Err(at(
            Stage::Rules,
            "it offers no rule".into(),
            "list rules in `export_rules!`",
        ));
    }
    let plugin = Plugin {
        path: path.to_path_buf(),
        sha256: file.sha256.clone(),
        api: module.api(),
        sdk: module.sdk().to_string(),
        about: file.about.clone(),
        missing,
        module,
    };
    Ok((plugin, rules))
}

fn other_version(built_for: ApiVersion) -> String {
    format!("built for interface {built_for}, this host speaks {API_VERSION}")
}

const REBUILD: &str =
    "rebuild the plugin with the `biorule-plugin-api` of this host, or take a matching host";

/// Opens the library, for good, and finds abi_stable's header in it.
fn header(
    file: &Candidate,
    at: &impl Fn(Stage, String, &str) -> LoadError,
) -> Result<AbiHeaderRef, LoadError> {
    let library: &'static Library = super::private::open(file).map_err(|e| {
        at(
            Stage::Open,
            source_text(&e),
            "only shared libraries for this system belong into a plugin folder",
        )
    })?;
    // SAFETY: the symbol, where it exists, is the header that `export_rules!` writes; what it
    // points to begins with a magic string that is compared before anything else is read.
    let symbol =
        unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME_WITH_NUL.as_bytes()) };
    let header = *symbol.map_err(|_| {
        at(
            Stage::Header,
            "a library, but not a BioRule plugin: the plugin symbol is absent".into(),
            "build the plugin as a `cdylib` with `export_rules!`",
        )
    })?;
    let ours = abi_stable::library::AbiHeader::VALUE;
    if header.magic_string != ours.magic_string {
        let found = String::from_utf8_lossy(&header.magic_string)
            .trim_end_matches('\0')
            .to_string();
        let reason = format!(
            "the plugin symbol does not start with abi_stable's magic text (found `{}`)",
            found.escape_debug()
        );
        return Err(at(
            Stage::Header,
            reason,
            "the file is damaged or made by something else; rebuild it",
        ));
    }
    if !header.is_valid() {
        let reason = format!(
            "built with abi_stable's ABI {}.{}, this host has {}.{}",
            header.abi_major, header.abi_minor, ours.abi_major, ours.abi_minor
        );
        return Err(at(Stage::Version, reason, REBUILD));
    }
    Ok(header)
}

/// One line for each way in which abi_stable refuses; its full reports go to the log.
fn refuse(error: LibraryError, at: &impl Fn(Stage, String, &str) -> LoadError) -> LoadError {
    match error {
        LibraryError::IncompatibleVersionNumber {
            expected_version,
            actual_version,
            ..
        } => {
            let reason = format!(
                "built for plugin interface {actual_version}, this host speaks {expected_version}"
            );
            at(Stage::Version, reason, REBUILD)
        }
        LibraryError::AbiInstability(report) => {
            let report = report.to_string();
            tracing::debug!("layout report:\n{report}");
            let cause = report
                .lines()
                .map(str::trim)
                .find(|l| l.starts_with("Error:") || l.contains("mismatch"));
            let reason = format!(
                "types of the plugin boundary are laid out otherwise{}",
                cause
                    .map(|c| format!(" ({})", c.trim_start_matches("Error:")))
                    .unwrap_or_default()
            );
            at(Stage::Layout, reason, REBUILD)
        }
        LibraryError::RootModule {
            err: RootModuleError::Unwound,
            ..
        } => at(
            Stage::Init,
            "it panicked while making its root module".into(),
            "see the panic message above",
        ),
        LibraryError::RootModule {
            err: RootModuleError::Returned(e),
            ..
        } => at(
            Stage::Init,
            e.to_string(),
            "see the plugin's own documentation",
        ),
        other => {
            let text = other.to_string();
            let first = text
                .lines()
                .find(|l| !l.trim().is_empty())
                .unwrap_or("unknown")
                .trim()
                .to_string();
            at(Stage::Layout, first, REBUILD)
        }
    }
}

/// The ops of the plugin's list that are younger than the host; those of the host have to be at the
/// same place with the same types. An interface that is newer knows ops that no rule of the plugin
/// may use, so they alone are no reason to refuse it.
fn check_ops(
    wanted: &[OpDecl],
    have: &[OpDecl],
) -> Result<Vec<(String, ApiVersion)>, (String, String)> {
    let mut missing = Vec::new();
    for (i, op) in wanted.iter().enumerate() {
        match have.get(i) {
            None => missing.push((op.name.to_string(), op.since)),
            Some(ours) if ours.name != op.name || ours.signature != op.signature => {
                return Err((
                    format!(
                        "op {i} is `{}{}` there and `{}{}` here",
                        op.name, op.signature, ours.name, ours.signature
                    ),
                    REBUILD.to_string(),
                ));
            }
            Some(_) => {}
        }
    }
    Ok(missing)
}

fn source_text(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi_stable::std_types::RStr;

    fn op(name: &'static str, since: ApiVersion) -> OpDecl {
        OpDecl {
            name: RStr::from_str(name),
            since,
            signature: RStr::from_str("()"),
        }
    }

    #[test]
    fn an_older_list_passes_and_a_newer_one_lists_what_is_missing() {
        let v1 = ApiVersion::new(0, 1, 0);
        let v7 = ApiVersion::new(0, 1, 7);
        let have = [op("add", v1), op("mul", v1)];
        assert!(check_ops(&have[..1], &have).is_ok());
        assert!(check_ops(&have, &have).is_ok());
        let newer = [have[0], have[1], op("fold", v7)];
        let missing = check_ops(&newer, &have).unwrap();
        assert_eq!(missing, [("fold".to_string(), v7)]);
        let (reason, _) = check_ops(&[op("mul", v1)], &have).unwrap_err();
        assert!(reason.contains("op 0"), "{reason}");
    }
}
