//! What a study found: `best`, `table`, `collect`.

use std::path::Path;

use serde_json::Value as Json;

use crate::cli::report::put;
use crate::config::study::{StudyConfig, stored};
use crate::study::{self, Entry, Ledger, StudyFolder, report};
use crate::sweep::plan::Study;
use crate::text::{human, print, print_json};
use crate::{Error, Result};

/// A study on the disk, nothing of which is run.
pub(super) struct Stored {
    pub(super) folder: StudyFolder,
    pub(super) config: StudyConfig,
    pub(super) ledger: Ledger,
}

impl Stored {
    /// The study in `path`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let folder = StudyFolder::open(path)?;
        let file = folder.study_file();
        let text = std::fs::read_to_string(&file).map_err(|e| Error::storage_io(&file, &e))?;
        let config = stored(&text, &file.display().to_string()).map_err(|e| {
            let mut e = e;
            e.code = crate::ExitCode::Storage;
            e.or_hint("put a good copy in its place")
        })?;
        let ledger = Ledger::read(&folder, &config.study)?;
        Ok(Self {
            folder,
            config,
            ledger,
        })
    }

    pub(super) fn study(&self) -> &Study {
        &self.config.study
    }

    /// The best trials.
    pub(super) fn best(&self) -> Result<Vec<&Entry>> {
        let best = self.ledger.best(self.study());
        match best.is_empty() {
            false => Ok(best),
            true => {
                let text = format!(
                    "no trial of `{}` has finished within all bounds ({})",
                    self.folder.path().display(),
                    report::counts(&self.ledger)
                );
                Err(Error::usage(text).hint(format!(
                    "`biorule sweep table {}` shows what became of them",
                    self.folder.path().display()
                )))
            }
        }
    }
}

/// The error for a trial that is not there.
pub(super) fn no_such(number: u64) -> Error {
    Error::usage(format!("the study has no trial {number}"))
        .hint("`biorule sweep table` lists its trials")
}

/// Prints the best trials.
pub(super) fn best(path: &Path, json: bool) -> Result<()> {
    let stored = Stored::open(path)?;
    let best = stored.best()?;
    if json {
        let all = best
            .iter()
            .map(|e| report::json(stored.study(), &stored.folder, e));
        return print_json(&Json::Array(all.collect()));
    }
    print(&screen(stored.study(), &stored.folder, &best))
}

/// The best trials as text.
pub(super) fn screen(study: &Study, folder: &StudyFolder, best: &[&Entry]) -> String {
    let mut text = report::table(study, best);
    if let [one] = best {
        let number = one.record.number;
        text.push_str(&format!(
            "\nconfiguration {}\n`biorule sweep apply {} best.toml` writes it for `biorule train`\n",
            folder.config(number).display(),
            folder.path().display()
        ));
    } else {
        text.push_str(&format!(
            "\n{} trials that no other is better than; `biorule sweep apply {} best.toml --trial N` writes one for `biorule train`\n",
            best.len(),
            folder.path().display()
        ));
    }
    text
}

/// Prints all trials.
pub(super) fn table(path: &Path, (json, csv): (bool, bool), sorted: bool) -> Result<()> {
    let stored = Stored::open(path)?;
    let study = stored.study();
    if csv {
        return print(&report::csv(study, &stored.ledger)?);
    }
    let entries: Vec<&Entry> = match sorted {
        true => stored.ledger.ranked(study),
        false => stored.ledger.entries().collect(),
    };
    if json {
        let all = entries
            .iter()
            .map(|e| report::json(study, &stored.folder, e));
        return print_json(&Json::Array(all.collect()));
    }
    let counts = report::counts(&stored.ledger);
    print(&format!("{}\n{counts}\n", report::table(study, &entries)))
}

/// Writes the table of what lies in the study's folder.
pub(super) fn collect(path: &Path) -> Result<()> {
    let stored = Stored::open(path)?;
    report::write(stored.study(), &stored.folder, &stored.ledger)?;
    print(&format!(
        "{}\n{}\n",
        report::counts(&stored.ledger),
        path.join("trials.csv").display()
    ))
}

/// Writes the study's page.
pub(super) fn page(path: &Path, output: Option<&Path>) -> Result<()> {
    let stored = Stored::open(path)?;
    let own = path.join("study.html");
    let file = output.unwrap_or(&own);
    let at = crate::report::page::now();
    let links = output.is_none();
    let page = study::page::page(stored.study(), &stored.folder, &stored.ledger, &at, links);
    put(&page, file)?;
    print(&format!(
        "{} ({})\n",
        file.display(),
        human(page.len() as u128)
    ))
}
