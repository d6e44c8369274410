//! `biorule doctor`: what this machine has, what is missing, what to do about it.
//!
//! Each check is a row that cannot fail the command: a machine without a GPU is
//! a machine, and the report is for reading. Sections about plugins and data
//! come from whoever knows them (see [`run`]).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Host, Open};
use crate::Result;
use crate::device::libraries::{self, Probed};
use crate::plugins::discover::{environment_folders, unsearchable};
use crate::plugins::{PLUGIN_PATH_VARIABLE, TAKEN};
use crate::text::print;

/// Options of `biorule doctor`.
#[derive(Debug, Default, clap::Args)]
pub struct DoctorArgs {
    /// Folder with rule plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    pub plugins: Vec<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Works.
    Ok,
    /// Absent, and only needed for something special.
    Absent,
    /// In order, but something else takes its place.
    Unused,
    /// Wrong; `advice` says what to do.
    Broken,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What was looked at.
    pub name: String,
    /// How it went.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Row {
    /// A check that went well, or a plain fact.
    pub fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            health: Health::Ok,
            found: found.into(),
            advice: None,
        }
    }

    /// Something absent that only some uses need.
    pub fn absent(
        name: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            health: Health::Absent,
            advice: Some(advice.into()),
            ..Self::ok(name, found)
        }
    }

    /// Something wrong.
    pub fn broken(
        name: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            health: Health::Broken,
            advice: Some(advice.into()),
            ..Self::ok(name, found)
        }
    }

    /// Whether files can be made in `folder`, which may not exist yet.
    pub fn writable_folder(name: impl Into<String>, folder: &Path) -> Self {
        let shown = folder.display().to_string();
        let existing = folder
            .ancestors()
            .find(|f| f.as_os_str().is_empty() || f.exists());
        let place = match existing {
            Some(f) if !f.as_os_str().is_empty() => f,
            _ => Path::new("."),
        };
        let trial = place.join(format!(".biorule-doctor-{}", std::process::id()));
        match std::fs::write(&trial, []).and_then(|()| std::fs::remove_file(&trial)) {
            Ok(()) if folder.exists() => Self::ok(name, shown),
            Ok(()) => Self::ok(name, format!("{shown} (will be made)")),
            Err(e) => Self::broken(
                name,
                format!("{shown}: {e}"),
                format!("make `{}` a folder you may write to", place.display()),
            ),
        }
    }
}

/// Rows under one title.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// `machine`, `gpu`, `plugins` …
    pub title: String,
    /// In the order in which they are printed.
    pub rows: Vec<Row>,
}

/// Runs the command: the machine, its GPU, the plugins found by `open`, the folders.
pub(super) fn command(args: &DoctorArgs, open: Open) -> Result<()> {
    let host = super::plugin_folders::open(open, &args.plugins, &Default::default())?;
    let folders = Section {
        title: "folders".into(),
        rows: vec![Row::writable_folder("runs", Path::new("runs"))],
    };
    run(args, vec![plugins(&*host, &args.plugins), folders])
}

/// Prints the sections `machine` and `gpu`, then `further` ones, to stdout.
///
/// # Errors
/// Only a defect of the JSON writer, or a closed output.
pub fn run(args: &DoctorArgs, further: Vec<Section>) -> Result<()> {
    let mut sections = vec![machine(), gpu()];
    sections.extend(further);
    let text = if args.json {
        json(&sections)? + "\n"
    } else {
        text(&sections)
    };
    print(&text)
}

/// Each plugin file found, loaded or refused, and the folders searched.
fn plugins(host: &dyn Host, configured: &[PathBuf]) -> Section {
    let in_environment = environment_folders();
    let mut rows: Vec<Row> = crate::plugins::search_folders(configured)
        .iter()
        .map(|folder| {
            let shown = folder.path.display().to_string();
            match unsearchable(&folder.path) {
                None => Row::ok("folder", shown),
                Some(what) if in_environment.contains(&folder.path) => Row::broken(
                    "folder",
                    format!("{shown} {what}"),
                    format!("correct or remove it in `{PLUGIN_PATH_VARIABLE}`"),
                ),
                Some(_) => Row::ok("folder", format!("{shown} (not there)")),
            }
        })
        .collect();
    rows.extend(host.plugins().iter().map(|plugin| {
        Row::ok(
            format!("{} {}", plugin.name, plugin.version),
            format!("{} ({})", plugin.rules.join(", "), plugin.path.display()),
        )
    }));
    rows.extend(host.refused().iter().map(|(path, error)| {
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy();
        Row {
            name: name.into_owned(),
            health: match error.text.contains(TAKEN) {
                true => Health::Unused,
                false => Health::Broken,
            },
            found: error.text.clone(),
            advice: error.hint.clone(),
        }
    }));
    if host.plugins().is_empty() && host.refused().is_empty() {
        rows.push(Row::broken(
            "plugins",
            "none found",
            "build them (`cargo build --release`) and name their folder in `BIORULE_PLUGIN_PATH`",
        ));
    }
    Section {
        title: "plugins".into(),
        rows,
    }
}

fn json(sections: &[Section]) -> Result<String> {
    serde_json::to_string_pretty(sections)
        .map_err(|e| crate::Error::internal(format!("the report cannot be written as JSON: {e}")))
}

fn text(sections: &[Section]) -> String {
    let width = sections
        .iter()
        .flat_map(|s| &s.rows)
        .map(|r| r.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for section in sections {
        let _ = writeln!(out, "{}", section.title);
        for row in &section.rows {
            let mark = match row.health {
                Health::Ok => "ok    ",
                Health::Absent => "absent",
                Health::Unused => "unused",
                Health::Broken => "BROKEN",
            };
            let _ = writeln!(out, "  {mark}  {:width$}  {}", row.name, row.found);
            if let Some(advice) = &row.advice {
                let _ = writeln!(out, "          {:width$}  → {advice}", "");
            }
        }
    }
    out
}

/// Processor, threads, memory, allocator.
pub fn machine() -> Section {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let model = field(&cpuinfo, "model name").unwrap_or(std::env::consts::ARCH);
    Section {
        title: "machine".into(),
        rows: vec![
            Row::ok(
                "biorule",
                format!("{} ({})", env!("CARGO_PKG_VERSION"), build()),
            ),
            Row::ok("processor", model),
            instructions(),
            threads(),
            memory(&meminfo),
            allocator(),
        ],
    }
}

fn build() -> &'static str {
    if cfg!(feature = "cuda") {
        "CPU and CUDA"
    } else {
        "CPU only"
    }
}

fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let line = text
        .lines()
        .find(|l| l.split(':').next().map(str::trim) == Some(key))?;
    line.split_once(':').map(|(_, v)| v.trim())
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> Row {
    macro_rules! present {
        ($($name:tt),*) => {
            [$(($name, std::is_x86_feature_detected!($name))),*]
        };
    }
    let all = present!(
        "avx2",
        "fma",
        "avx512f",
        "avx512bw",
        "avx512vl",
        "avx512bf16"
    );
    let have: Vec<_> = all
        .iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| *name)
        .collect();
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        return Row::ok("instructions", have.join(" "));
    }
    let found = if have.is_empty() {
        "neither AVX2 nor FMA".to_owned()
    } else {
        have.join(" ")
    };
    Row::absent(
        "instructions",
        found,
        "kernels take their portable path, several times slower",
    )
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions() -> Row {
    Row::ok(
        "instructions",
        format!("{}, portable kernels", std::env::consts::ARCH),
    )
}

fn threads() -> Row {
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    let set: Vec<_> = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"]
        .iter()
        .filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)))
        .collect();
    let suffix = if set.is_empty() {
        String::new()
    } else {
        format!(", {}", set.join(", "))
    };
    Row::ok("threads", format!("{usable} usable{suffix}"))
}

fn memory(meminfo: &str) -> Row {
    let gib = |key| {
        let kib: f64 = field(meminfo, key)?.split(' ').next()?.parse().ok()?;
        Some(kib / f64::from(1 << 20))
    };
    match (gib("MemTotal"), gib("MemAvailable")) {
        (Some(total), Some(free)) if free < 1.0 => Row::broken(
            "memory",
            format!("{free:.1} GiB available of {total:.1}"),
            "end other programs, or lower `batch_size`",
        ),
        (Some(total), Some(free)) => {
            Row::ok("memory", format!("{free:.1} GiB available of {total:.1}"))
        }
        _ => Row::ok("memory", "unknown on this system"),
    }
}

fn allocator() -> Row {
    let kind = if cfg!(target_env = "gnu") {
        "glibc malloc"
    } else {
        "the system's malloc"
    };
    let set: Vec<_> = ["LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX"]
        .iter()
        .filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)))
        .collect();
    let suffix = if set.is_empty() {
        String::new()
    } else {
        format!(" with {}", set.join(", "))
    };
    Row::ok("allocator", format!("{kind}{suffix}"))
}

/// The CUDA feature, its libraries, and the GPUs.
pub fn gpu() -> Section {
    let mut rows = vec![if cfg!(feature = "cuda") {
        Row::ok("cuda feature", "built in")
    } else {
        Row::absent(
            "cuda feature",
            "not in this build",
            "`. ci/cuda-env && cargo build --release -p biorule --features cuda` (docs/cuda.md)",
        )
    }];
    rows.extend(libraries::probe().iter().map(library_row));
    match libraries::gpus() {
        Ok(gpus) => rows.extend(gpus.iter().enumerate().map(|(i, gpu)| {
            let (major, minor) = gpu.capability;
            let gib = gpu.memory as f64 / f64::from(1 << 30);
            let found = format!("{}, capability {major}.{minor}, {gib:.0} GiB", gpu.name);
            if major >= 8 {
                return Row::ok(format!("cuda:{i}"), found);
            }
            Row::broken(
                format!("cuda:{i}"),
                found,
                "needs capability 8.0 (Ampere) or newer",
            )
        })),
        Err(reason) => rows.push(Row::absent("GPU", reason, "`device = \"cpu\"` needs none")),
    }
    Section {
        title: "gpu".into(),
        rows,
    }
}

fn library_row(probed: &Probed) -> Row {
    let name = probed.needed.name;
    match &probed.state {
        Ok(found) => {
            let version = found.version.as_deref().unwrap_or("version not told");
            Row::ok(name, format!("{version} ({})", found.file.display()))
        }
        Err(reason) => Row::absent(
            name,
            reason,
            format!(
                "{}; or name its folder in {}",
                probed.needed.install,
                libraries::SEARCH_VARIABLE
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "MemTotalExtra: 1 kB\nMemTotal:    2097152 kB\nMemAvailable: 524288 kB\n";
        assert_eq!(field(text, "MemTotal"), Some("2097152 kB"));
        let row = memory(text);
        assert_eq!(row.found, "0.5 GiB available of 2.0");
        assert_eq!(row.health, Health::Broken);
    }

    #[test]
    fn folders_are_tried_for_writing() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let new = folder.path().join("a/b");
        assert_eq!(
            Row::writable_folder("runs", folder.path()).health,
            Health::Ok
        );
        assert!(
            Row::writable_folder("runs", &new)
                .found
                .ends_with("(will be made)")
        );
        assert!(!new.exists(), "looking makes nothing");
        let file = folder.path().join("file");
        std::fs::write(&file, "x").expect("write");
        let row = Row::writable_folder("runs", &file.join("sub"));
        assert_eq!(row.health, Health::Broken, "{row:?}");
    }

    #[test]
    fn the_report_names_every_library_and_section() {
        let further = Section {
            title: "plugins".into(),
            rows: vec![Row::broken("x.so", "wrong magic", "rebuild it")],
        };
        let sections = [machine(), gpu(), further];
        let report = text(&sections);
        for needed in libraries::NEEDED {
            assert!(report.contains(needed.name), "{report}");
        }
        assert!(
            report.contains("BROKEN") && report.contains("→ rebuild it"),
            "{report}"
        );
        let parsed: serde_json::Value =
            serde_json::from_str(&json(&sections).expect("json")).expect("valid JSON");
        assert_eq!(parsed[2]["rows"][0]["health"], "broken");
    }
}
