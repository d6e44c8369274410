//! Builds a call of the `biorule` binary in a folder of its own, runs it, and
//! checks its exit code.

use std::path::Path;
use std::process::Command;

/// A call to be made.
pub struct Run {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// What came out of it.
pub struct Done {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// A call with these arguments, separated by spaces.
    pub fn new(arguments: &str) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
            environment: Vec::new(),
        }
    }

    /// One more argument, taken as it is.
    pub fn argument(mut self, path: &Path) -> Self {
        self.arguments.push(path.display().to_string());
        self
    }

    /// A file in the working folder.
    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// An environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command, ready to start.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_biorule"));
        command
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(std::process::Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BIORULE")) {
            command.env_remove(name);
        }
        command
            .env_remove("RUST_LOG")
            .envs(self.environment.iter().cloned());
        command
    }

    /// Runs it; panics with both streams where the exit code is not `code`.
    pub fn done(self, code: i32) -> Done {
        let output = self.command().output().unwrap();
        let done = Done {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert_eq!(
            output.status.code(),
            Some(code),
            "biorule {}\nstdout:\n{}\nstderr:\n{}",
            self.arguments.join(" "),
            done.stdout,
            done.stderr
        );
        done
    }
}
