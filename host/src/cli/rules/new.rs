//! `biorule rules new`: a crate with a rule that works, for its author to change.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::Result;
use crate::plugins::kit::{self, Kind};
use crate::text::{print, print_json};

/// `biorule rules new`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule rules new my-rule                      a local rule, in the folder ./my-rule
  biorule rules new my-rule --supervised         a local rule that sees the labels
  biorule rules new my-rule --feedback --dir ~/rules/my-rule

The crate needs Rust and nothing else: the interface that it is built against is written beside
its source, no tensor library and no CUDA is compiled. docs/rules/first-rule.md goes on from here.")]
pub struct NewArgs {
    /// Name of the rule and its crate: lower-case letters, digits and `-`
    name: String,
    /// Learns from its own input and output (the default)
    #[arg(long, group = "kind")]
    local: bool,
    /// An error arrives from above, and another one goes below
    #[arg(long, group = "kind")]
    feedback: bool,
    /// The error at the network's output is broadcast to each layer
    #[arg(long, group = "kind")]
    direct: bool,
    /// Learns from its own input and output and the labels
    #[arg(long, group = "kind")]
    supervised: bool,
    /// Where the crate is made; absent: a folder of its name
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl NewArgs {
    fn kind(&self) -> Kind {
        match self {
            Self { feedback: true, .. } => Kind::Feedback,
            Self { direct: true, .. } => Kind::Direct,
            Self {
                supervised: true, ..
            } => Kind::Supervised,
            _ => Kind::Local,
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &NewArgs) -> Result<()> {
    let folder = args
        .dir
        .clone()
        .unwrap_or_else(|| PathBuf::from(&args.name));
    let kind = args.kind();
    let files = kit::create(&args.name, kind, &folder)?;
    let shown: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    if args.json {
        return print_json(&json!({
            "name": args.name, "kind": kind.word(),
            "folder": folder.display().to_string(), "files": shown,
        }));
    }
    let (place, lib) = (folder.display(), args.name.replace('-', "_"));
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    print(&format!(
        "made `{place}`, a {} rule that works:\n  {}\n\nnext:\n  cd {place}\n  cargo test\n  cargo build\n  \
         biorule rules check target/debug/{prefix}{lib}{suffix}\n  biorule train digits.toml --plugins target/debug\n",
        kind.word(),
        shown.join("\n  ")
    ))
}
