//! `biorule runs tag`: words to find a run by.

use std::path::PathBuf;

use clap::Args;

use crate::run::listing;
use crate::text::{nearest, print};
use crate::{Error, Result};

/// `biorule runs tag`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule runs tag runs/softhebb-cifar10-3/latest paper figure-3
  biorule runs tag runs/softhebb-cifar10-3/latest figure-3 --remove
  biorule runs find --tag paper

Without a tag it prints those of the run. Of several seeds, the folder above stands for all of them. A run with a tag is
never pruned.")]
pub struct TagArgs {
    /// A run's folder, or the folder of several seeds
    run: PathBuf,
    /// Tags: words without spaces and commas
    #[arg(value_name = "TAG")]
    tags: Vec<String>,
    /// Take these tags away
    #[arg(long)]
    remove: bool,
}

/// Runs the command.
pub(super) fn run(args: &TagArgs) -> Result<()> {
    if args.remove && args.tags.is_empty() {
        return Err(Error::usage("`--remove` names no tag")
            .hint("`biorule runs tag RUN` prints the tags of a run"));
    }
    args.tags
        .iter()
        .try_for_each(|tag| listing::check_tag(tag))?;
    let runs = listing::runs_of(&args.run)?;
    if args.remove {
        for tag in &args.tags {
            let there = |(path, _): &(PathBuf, _)| listing::tags(path);
            let all: Vec<String> = runs.iter().flat_map(there).collect();
            if !all.contains(tag) {
                let e = Error::usage(format!("`{}` has no tag `{tag}`", args.run.display()));
                return Err(match nearest(tag, all.iter().map(String::as_str)) {
                    Some(near) => e.hint(format!("did you mean `{near}`?")),
                    None => e.hint("`biorule runs tag RUN` prints the tags of a run"),
                });
            }
        }
    }
    for (path, _) in &runs {
        let mut tags = listing::tags(path);
        let before = tags.clone();
        for tag in &args.tags {
            match args.remove {
                true => drop(tags.remove(tag)),
                false => drop(tags.insert(tag.clone())),
            }
        }
        if tags != before {
            listing::set_tags(path, &tags)?;
        }
        let tags: Vec<String> = tags.into_iter().collect();
        let told = match tags.is_empty() {
            true => "no tag".to_owned(),
            false => tags.join(", "),
        };
        print(&format!("{}: {told}\n", path.display()))?;
    }
    Ok(())
}
