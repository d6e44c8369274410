//! `biorule completions`.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::Result;
use crate::text::print;

/// Prints completions for a shell.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  biorule completions bash > ~/.local/share/bash-completion/completions/biorule"
)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script for `command`.
pub(super) fn run(args: &CompletionsArgs, mut command: Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "biorule", &mut script);
    print(&String::from_utf8_lossy(&script))
}
