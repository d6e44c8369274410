//! The plugins of this workspace and the binary, built as a user builds them, and calls of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use biorule::plugins::Registry;
use biorule::plugins::discover::Folder;

use crate::repository;

/// The folder with the libraries of all crates below `plugins/` and the binary `biorule`,
/// built in the profile of this test, once for all tests that one `cargo test` runs.
/// `BIORULE_TEST_PLUGINS` names a folder where they lie already, on machines without Cargo.
///
/// # Panics
/// The build fails; Cargo's words are on the standard error.
pub fn plugin_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| match std::env::var_os("BIORULE_TEST_PLUGINS") {
        Some(folder) => folder.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let exe = std::env::current_exe().expect("a test has a path");
    // target/PROFILE/deps/TEST
    let profile = exe
        .ancestors()
        .nth(2)
        .expect("tests lie in `deps`")
        .to_path_buf();
    let target = profile.parent().expect("profiles lie in the target folder");
    let name = profile
        .file_name()
        .expect("a profile has a name")
        .to_string_lossy();
    // Asking Cargo takes a second or more, which each of a dozen test programs would pay.
    let built = profile.join("built-for-tests");
    let session = session();
    if session.is_some() && std::fs::read_to_string(&built).ok() == session {
        return profile;
    }
    let mut cargo = Command::new(env!("CARGO"));
    // The whole workspace, as the tests themselves are built: for a part of it cargo would
    // choose other features of the dependencies, and build them all again.
    cargo
        .current_dir(repository())
        .args(["build", "--quiet", "--workspace"]);
    cargo.args(["--profile", if name == "debug" { "dev" } else { &name }]);
    cargo.arg("--target-dir").arg(target);
    forget_own_package(&mut cargo);
    let status = cargo.status().expect("Cargo starts");
    assert!(status.success(), "the plugins do not build");
    if let Some(session) = session {
        std::fs::write(&built, session).expect("the target folder can be written");
    }
    profile
}

/// Takes from `cargo` what the Cargo above told this test of its own package. It would make build
/// scripts that look at it run again, here and in the next build, and all that depends on them
/// with them.
pub fn forget_own_package(cargo: &mut Command) {
    for (variable, _) in std::env::vars_os() {
        let told = variable.to_string_lossy();
        let own = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ];
        if own.iter().any(|start| told.starts_with(start)) {
            cargo.env_remove(&variable);
        }
    }
}

/// What tells one `cargo test` from every other: the number of its process and when it began.
/// `None` where a test was not started by Cargo, which may then have built anything since.
fn session() -> Option<String> {
    let stat = format!("/proc/{}/stat", std::os::unix::process::parent_id());
    let stat = std::fs::read_to_string(stat).ok()?;
    // `NUMBER (NAME) STATE …`; the name may hold anything, and the start is the 22nd field.
    let (start, fields) = stat.rsplit_once(')')?;
    let (number, name) = start.split_once(" (")?;
    let began = fields.split_whitespace().nth(19)?;
    name.starts_with("cargo")
        .then(|| format!("{number} {began}"))
}

/// A broken plugin below `tests/specimens`, by its folder's name.
pub fn specimen(name: &str) -> PathBuf {
    library(&format!("specimen_{name}"))
}

/// The library of a crate whose name is `name` with underscores.
pub fn library(name: &str) -> PathBuf {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    plugin_folder().join(format!("{prefix}{name}{suffix}"))
}

/// Compiles the shipped plugin in `plugins/NAME` once more, with these further flags for
/// `rustc`, to the library `out`; against the plugin interface that the workspace was
/// built with, so that it costs seconds and nothing of the build is touched.
///
/// # Panics
/// It does not compile; the compiler's words are in the message.
pub fn compile_plugin(name: &str, flags: &[&str], out: &Path) {
    let folder = plugin_folder();
    // The compiler beside the Cargo of this test: another one could not read its libraries.
    let done = Command::new(Path::new(env!("CARGO")).with_file_name("rustc"))
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "cdylib",
            "--crate-name",
            "again",
        ])
        .arg(repository().join(format!("plugins/{name}/src/lib.rs")))
        .arg("--extern")
        .arg(format!(
            "biorule_plugin_api={}",
            folder.join("libbiorule_plugin_api.rlib").display()
        ))
        .arg("-L")
        .arg(format!("dependency={}", folder.join("deps").display()))
        .args(flags)
        .arg("-o")
        .arg(out)
        .output()
        .expect("the compiler starts");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// The rules of [`plugin_folder`], through the host's own loader.
///
/// # Panics
/// A plugin is refused.
pub fn registry() -> &'static Registry {
    // This test's thread computes as those of the program do.
    biorule::threads::prepare();
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let folder = Folder {
            path: plugin_folder().into(),
            ours_only: true,
        };
        let registry = Registry::from_folders(vec![folder]);
        assert!(registry.broken().is_empty(), "{:?}", registry.broken());
        registry
    })
}

/// A call of `program` under a limit as the shell's `ulimit` takes it, such as `-v 4000000`.
pub fn limited(program: &Path, limit: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit {limit}; exec \"$0\" \"$@\""))
        .arg(program);
    command
}

/// `biorule ARGUMENTS` in `folder`, to the end.
///
/// # Panics
/// The binary cannot be started.
pub fn call(folder: &Path, arguments: &[&str]) -> Ran {
    Run::new(arguments).dir(folder).finish()
}

/// A call of the binary.
pub struct Run {
    command: Command,
}

/// What a call of the binary left.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// `biorule ARGUMENTS`, with the plugins of this workspace and no settings of the caller's.
    pub fn new<S: Into<OsString>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let folder = plugin_folder();
        let mut command = Command::new(folder.join("biorule"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BIORULE") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments.into_iter().map(Into::into))
            .env_remove("RUST_LOG");
        Self { command }
    }
    /// Under a limit as the shell's `ulimit` takes it, such as `-f 8`.
    #[must_use]
    pub fn limit(self, limit: &str) -> Self {
        let plain = self.command;
        let mut command = limited(Path::new(plain.get_program()), limit);
        command.args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = plain.get_current_dir() {
            command.current_dir(folder);
        }
        Self { command }
    }
    /// More arguments.
    #[must_use]
    pub fn arguments<S: AsRef<std::ffi::OsStr>>(mut self, arguments: &[S]) -> Self {
        self.command.args(arguments);
        self
    }
    /// `--set` for each of these settings.
    #[must_use]
    pub fn sets<S: AsRef<std::ffi::OsStr>>(mut self, settings: &[S]) -> Self {
        for setting in settings {
            self.command.arg("--set").arg(setting);
        }
        self
    }
    /// The working folder.
    #[must_use]
    pub fn dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }
    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }
    /// The command, for tests that kill or feed the process.
    pub fn command(self) -> Command {
        self.command
    }
    /// Runs to the end.
    ///
    /// # Panics
    /// The binary cannot be started.
    pub fn finish(mut self) -> Ran {
        let output = self.command.output().expect("the binary starts");
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
    /// Starts it in the background; what it prints is lost.
    ///
    /// # Panics
    /// The binary cannot be started.
    pub fn start(mut self) -> Child {
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        self.command.spawn().expect("the binary starts")
    }
    /// Runs to the end, which must be a success.
    ///
    /// # Panics
    /// Another exit code, with the arguments and what was printed.
    pub fn done(self) -> Ran {
        let words: Vec<OsString> = self.command.get_args().map(Into::into).collect();
        let ran = self.finish();
        let Ran { stdout, stderr, .. } = &ran;
        assert_eq!(ran.code, Some(0), "{words:?}: {stdout}\n{stderr}");
        ran
    }
    /// [`Self::done`]; returns standard output.
    ///
    /// # Panics
    /// As there.
    pub fn stdout(self) -> String {
        self.done().stdout
    }
}
