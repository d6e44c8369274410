//! All golden files of one project: found, recognised, run, printed as a table.

use std::path::{Path, PathBuf};

use crate::golden::{Checks, File};
use biorule_test_environment::{Need, folder, skip};

use crate::{Result, repository};

/// One kind of case.
pub struct Recogniser {
    /// What the table calls the kind.
    pub name: &'static str,
    /// Whether metadata and tensor names are those of this kind.
    pub understands: fn(&File) -> bool,
    /// Computes what the file holds and compares.
    pub run: fn(&File, &mut Checks) -> Result<()>,
}

/// What became of the files.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Files that were run.
    pub run: usize,
    /// Every failure, with its file.
    pub failures: Vec<String>,
    /// Files outside the project's folder that are not of its kinds.
    pub others: usize,
    /// Files in the project's folder that no recogniser understands.
    pub strangers: Vec<PathBuf>,
    /// Tensors compared.
    pub tensors: usize,
    /// The largest part of a tolerance that was used, and where.
    pub nearest: (f64, String),
}

/// The folders with golden vectors: the one that `BIORULE_GOLDEN` names, and the small set in
/// `tests/golden`.
///
/// # Panics
/// `BIORULE_GOLDEN` names no folder: a check that silently does nothing is worse.
pub fn folders() -> Vec<PathBuf> {
    let named = std::env::var_os("BIORULE_GOLDEN").filter(|named| !named.is_empty());
    let named = named.map(PathBuf::from);
    if let Some(named) = &named {
        let shown = named.display();
        assert!(named.is_dir(), "`BIORULE_GOLDEN` names no folder: {shown}");
    }
    let small = repository().join("tests/golden");
    named.into_iter().chain([small]).collect()
}

/// What the test of the further vectors of `project` does: it is skipped where `BIORULE_GOLDEN`
/// names no folder or one without them, so that a run of the small set alone is told from one
/// of all.
///
/// # Panics
/// They are missing and `BIORULE_REQUIRE` lists `golden`.
#[track_caller]
pub fn expect_further(project: &str) {
    let Some(further) = folder(Need::Golden, "BIORULE_GOLDEN") else {
        return;
    };
    if !files(project).iter().any(|file| file.starts_with(&further)) {
        let shown = further.display();
        let reason = format!("no file for `{project}` in `BIORULE_GOLDEN`, {shown}");
        skip(Need::Golden, &reason);
    }
}

/// The files that may belong to `project` (`softhebb`, `krotov`, …): those in a
/// folder of its name, and those outside the folders of the others.
pub fn files(project: &str) -> Vec<PathBuf> {
    const PROJECTS: [&str; 5] = ["softhebb", "krotov", "hebbian", "feedback", "nas"];
    let mut found = Vec::new();
    for root in folders() {
        let mut pending = vec![root];
        while let Some(folder) = pending.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name());
                let other = PROJECTS.iter().any(|p| *p != project && name == *p);
                if path.is_dir() && !other {
                    pending.push(path);
                } else if path.extension().is_some_and(|e| e == "safetensors") {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    found
}

/// Runs every file of `project` with the first recogniser that understands it, and prints
/// one line for each: kind, tensors compared, and of the comparison that came nearest to
/// failing its relative error, the tolerance, the part of it that was used and the tensor.
pub fn judge(project: &str, recognisers: &[Recogniser]) -> Verdict {
    // Subnormal numbers are 0, as in the program.
    biorule::threads::prepare();
    let mut verdict = Verdict::default();
    println!(
        "{:<44} {:<12} {:>7} {:>8}  {:<20} {:>7}  tensor",
        "file", "kind", "tensors", "error", "tolerance", "used"
    );
    for path in files(project) {
        judge_file(project, &path, recognisers, &mut verdict);
    }
    println!(
        "{} files run, {} tensors compared, {} failures, {} files not covered; nearest to its tolerance: {}",
        verdict.run,
        verdict.tensors,
        verdict.failures.len(),
        verdict.strangers.len(),
        verdict.nearest.1
    );
    verdict
}

fn judge_file(project: &str, path: &Path, recognisers: &[Recogniser], verdict: &mut Verdict) {
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            verdict
                .failures
                .push(format!("{}: {error}", path.display()));
            return;
        }
    };
    let Some(kind) = recognisers.iter().find(|r| (r.understands)(&file)) else {
        // In a folder that several projects share, it may be another one's.
        if path.components().any(|part| part.as_os_str() == project) {
            println!("{name:<44} not covered");
            verdict.strangers.push(path.into());
        } else {
            verdict.others += 1;
        }
        return;
    };
    let mut checks = Checks::default();
    let outcome = (kind.run)(&file, &mut checks);
    verdict.run += 1;
    if let Err(error) = outcome {
        checks.problem(error.to_string());
    } else if checks.is_empty() {
        checks.problem("nothing was compared");
    }
    verdict.tensors += checks.len();
    let failed = if checks.problems().is_empty() {
        ""
    } else {
        "  FAILED"
    };
    let worst = checks.worst().map_or(String::new(), |w| {
        let (tolerance, used) = (w.tolerance.to_string(), 100.0 * w.used);
        if w.used >= verdict.nearest.0 {
            verdict.nearest = (w.used, format!("{name}, {}, {used:.1} %", w.tensor));
        }
        format!(
            "{:>8.1e}  {tolerance:<20} {used:>5.1} %  {}",
            w.error, w.tensor
        )
    });
    println!(
        "{name:<44} {:<12} {:>7} {worst}{failed}",
        kind.name,
        checks.len()
    );
    if !checks.omissions().is_empty() {
        println!("{:<44} not covered: {}", "", checks.omissions().join(", "));
    }
    for problem in checks.problems() {
        verdict.failures.push(format!("{name}: {problem}"));
    }
}

impl Verdict {
    /// Fails the test on any failure, on files that nobody understands, and where no file of
    /// the project was run.
    ///
    /// # Panics
    /// With all failures, one a line.
    pub fn assert_good(&self) {
        let mut lines = self.failures.clone();
        lines.extend(
            self.strangers
                .iter()
                .map(|p| format!("no recogniser for {}", p.display())),
        );
        assert!(lines.is_empty(), "golden files:\n{}", lines.join("\n"));
        assert!(self.run > 0, "no golden file in {:?}", folders());
    }
}
