//! `biorule completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Result;

/// Prints completions for a shell.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  biorule completions bash > ~/.local/share/bash-completion/completions/biorule"
)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut super::Cli::command(),
        "biorule",
        &mut script,
    );
    super::print(&String::from_utf8_lossy(&script))
}
