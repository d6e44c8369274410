//! `biorule data fetch`: a set's files one after another, with progress.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::place::place;
use crate::data::fetch::{self, FetchOptions, Fetched, Progress};
use crate::data::registry::SetInfo;
use crate::data::{DataFolders, published};
use crate::text::print;
use crate::{Error, Result};

/// Fetches every file of `set` that is not there yet; the folder goes to
/// standard output.
pub(super) fn fetch_set(
    set: &'static SetInfo,
    root: Option<&PathBuf>,
    folders: &DataFolders,
    from: Option<&str>,
    options: &FetchOptions,
    quiet: bool,
) -> Result<()> {
    if !set.is_on_disk() {
        tell!(
            "`{}` needs no download: it is {}",
            set.name,
            place(set, folders).unwrap_or_default()
        );
        return Ok(());
    }
    if set.files.is_empty() {
        return Err(Error::usage(format!("`{}` has no public mirror", set.name)).hint(
            "get it from its authors (image-net.org asks for a registration), unpack it to `train/CLASS/` and `val/CLASS/`, and name its folder by `data.root` or `BIORULE_DATA`",
        ));
    }
    let folder = folders.target(set, root.map(PathBuf::as_path));
    let mirrors: Vec<String> = match from {
        Some(base) => vec![base.to_owned()],
        None => set.mirrors.iter().map(ToString::to_string).collect(),
    };
    for file in set.files {
        let mut progress = Shown::new(quiet);
        let fetched = fetch::fetch(file, &mirrors, &folder, options, &mut progress)?;
        progress.end();
        if !quiet {
            let what = match fetched {
                Fetched::Present => "already here",
                Fetched::Downloaded(_) => "fetched",
            };
            tell!("{what}: {} (sha256 good)", file.name);
        }
    }
    if published::unpack(set, &folder)? && !quiet {
        tell!("unpacked in {}", folder.display());
    }
    print(&format!("{}\n", folder.display()))
}

/// Progress on standard error: a bar on a terminal, else a line now and then.
struct Shown {
    quiet: bool,
    bar: Option<ProgressBar>,
    line: Instant,
}

impl Shown {
    /// Pause between two plain lines.
    const LINE: Duration = Duration::from_secs(5);

    fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            let style = ProgressStyle::with_template(style)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        Self {
            quiet,
            bar,
            line: Instant::now(),
        }
    }
    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Shown {
    fn bytes(&mut self, file: &str, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            if bar.length() != Some(total) {
                bar.set_length(total);
                bar.set_message(file.to_owned());
            }
            bar.set_position(done);
        } else if !self.quiet && self.line.elapsed() > Self::LINE {
            self.line = Instant::now();
            tell!(
                "{file}: {} of {} MB",
                done / 1_000_000,
                total.div_ceil(1_000_000)
            );
        }
    }
    fn note(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| tell!("{text}")),
            None if !self.quiet => tell!("{text}"),
            None => {}
        }
    }
}
